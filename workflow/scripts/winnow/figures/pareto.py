"""The Pareto front drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.analysis.front import cost_column, pareto_data
from winnow.config.recommend import RecommendSettings
from winnow.figures import style
from winnow.results.not_measured import Missing
from winnow.study.vocabulary import DENSE, PRECISIONS

_LABELS = 8  # of a front
_APART = 14  # pixels between two labels, in either direction; nearer ones would cover each other
_SPAN = 0.1  # least part of the largest cost that the axis shows, lest differences of no account look large


def pareto(
    results: pd.DataFrame, kind: str, settings: RecommendSettings, shipped: tuple[str, str] | None = None
) -> Figure:
    """Draw accuracy against a cost, `size`, `latency` or `energy`: the front labelled, the rest dimmed.

    Args:
        shipped: run and precision of the network that is recommended, to be ringed.
    """
    column, label = cost_column(results, kind, settings)
    data = pareto_data(results, column)
    if len(data) < 2:
        raise Missing("Fewer than two networks were measured; a front needs at least two.")
    figure = style.new_figure(4.1)
    axes = figure.subplots()
    accuracy = 100 * data["top1"]
    for precision in PRECISIONS:
        part = data[data["precision"] == precision]
        for front, options in ((False, {"alpha": 0.3, "s": 18}), (True, {"s": 42, "edgecolors": "black", "zorder": 4})):
            points = part[part["front"] == front]
            if len(points):
                axes.scatter(
                    points["cost"],
                    100 * points["top1"],
                    color=PRECISIONS[precision].color,
                    marker=PRECISIONS[precision].marker,
                    **options,
                )
        if len(part):  # in the legend as on the front, wherever its own points lie
            look = {"color": PRECISIONS[precision].color, "marker": PRECISIONS[precision].marker}
            axes.scatter([], [], s=42, edgecolors="black", label=precision, **look)
    front = data[data["front"]]
    axes.step(front["cost"], 100 * front["top1"], where="post", color="black", linewidth=0.8, zorder=2)
    axes.errorbar(
        front["cost"], 100 * front["top1"], 100 * front["top1_std"], fmt="none", color="black", linewidth=0.7, capsize=2
    )
    _mark_references(axes, data, shipped)
    if data["cost"].max() > 5 * data["cost"].min() > 0:
        axes.set_xscale("log")
        style.log_axis(axes.xaxis)
    else:
        _widen(axes, data["cost"].max())
    _zoom(axes, accuracy, front)
    unit = {"size": "MB", "latency": "ms", "energy": "mJ"}[kind]
    key = _number_front(axes, front, unit, shipped)
    axes.set_xlabel(label)
    axes.set_ylabel("top-1 accuracy, test (%)")
    style.legend_below(axes)
    hidden = int((accuracy < axes.get_ylim()[0]).sum())
    below = f" {hidden} of {len(data)} lie below the axis." if hidden else ""
    style.note(figure, f"{style.spread_note(data['n'])} Dimmed: another one is better in both.{below}", key)
    return figure


def _mark_references(axes: Axes, data: pd.DataFrame, shipped: tuple[str, str] | None) -> None:
    base = data[(data["run"] == DENSE) & (data["precision"] == "fp32")]
    if len(base):
        axes.axhline(100 * base["top1"].iloc[0], color=style.GREY, linestyle="--", linewidth=0.8, label="dense fp32")
    chosen = data[(data["run"] == shipped[0]) & (data["precision"] == shipped[1])] if shipped else data.iloc[:0]
    if len(chosen):
        axes.scatter(
            chosen["cost"],
            100 * chosen["top1"],
            s=190,
            facecolors="none",
            edgecolors="#D55E00",
            linewidths=1.8,
            zorder=5,
            label="recommended",
        )


def _zoom(axes: Axes, accuracy: pd.Series, front: pd.DataFrame) -> None:
    """Keep networks that failed altogether from pressing all others to one line."""
    top = accuracy.max()
    quarter = accuracy.quantile(0.25)
    low = max(accuracy.min(), min(100 * front["top1"].median(), quarter - 2 * (top - quarter) - 0.5))
    margin = 0.06 * max(top - low, 0.5)
    axes.set_ylim(low - margin, top + 3 * margin)


def _widen(axes: Axes, most: float) -> None:
    low, high = axes.get_xlim()
    if high - low < _SPAN * most:
        middle = (low + high) / 2
        axes.set_xlim(middle - _SPAN * most / 2, middle + _SPAN * most / 2)


def _number_front(axes: Axes, front: pd.DataFrame, unit: str, shipped: tuple[str, str] | None) -> list[str]:
    """Number the front, if it is long the recommended network, the ends and some between; return the key.

    Points too close to each other for a label each share one.
    """
    visible = front[100 * front["top1"] >= axes.get_ylim()[0]].reset_index(drop=True)
    ours = [(row.run, row.precision) == shipped for row in visible.itertuples()]
    spread = np.linspace(0, len(visible) - 1, min(_LABELS, len(visible))).round().astype(int)
    pixels = axes.transData.transform(np.column_stack([visible["cost"], 100 * visible["top1"]]))
    labels: dict[int, list[int]] = {}
    key = []
    for number, place in enumerate(sorted({*spread, *np.flatnonzero(ours)}), 1):
        row = visible.iloc[place]
        near = [other for other in labels if np.abs(pixels[place] - pixels[other]).max() <= _APART]
        labels.setdefault(near[0] if near else place, []).append(number)
        mark = " (recommended)" * ours[place]
        key.append(f"{number}  {row['name']}: {100 * row['top1']:.2f} % at {row['cost']:.3g} {unit}{mark}")
    for place, numbers in labels.items():
        text = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 2 else ", ".join(map(str, numbers))
        position = (visible["cost"][place], 100 * visible["top1"][place])
        axes.annotate(text, position, (-4, 6), textcoords="offset points", ha="right", weight="bold", zorder=6)
    return key
