"""The Pareto front drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.analysis.front import COSTS, cost_column, pareto_data
from winnow.config.recommend import RecommendSettings
from winnow.figures import style
from winnow.figures.looks import precision_looks
from winnow.results.not_measured import Missing
from winnow.study.vocabulary import DENSE, FP32

_LABELS = 8  # of a front
_APART = 14  # pixels between two labels, in either direction; nearer ones would cover each other
_SPAN = 0.1  # least part of the largest cost that the axis shows, lest differences of no account look large


def pareto(
    results: pd.DataFrame, kind: str, settings: RecommendSettings, shipped: tuple[str, str] | None = None
) -> Figure:
    """Draw accuracy against a cost, `size`, `latency` or `energy`: the front labelled, the rest dimmed.

    Args:
        shipped: run and recipe of the network that is recommended, to be ringed.
    """
    column, label = cost_column(results, kind, settings)
    data = pareto_data(results, column)
    if len(data) < 2:
        raise Missing("Fewer than two networks were measured; a front needs at least two.")
    data = data.assign(accuracy=100 * data["top1"], accuracy_std=100 * data["top1_std"])
    ours = [(row.run, row.recipe) == shipped for row in data.itertuples()]
    data = data.assign(recommended=ours)
    figure = style.new_figure(4.1)
    axes = figure.subplots()
    front = data[data["front"]]
    axes.margins(x=0.09)  # room for numbers
    _points(axes, data)
    axes.step(front["cost"], front["accuracy"], where="post", color="black", linewidth=0.8, zorder=2)
    style.error_bars(axes, front, "cost", "accuracy", "accuracy_std")
    _mark_references(axes, data)
    if data["cost"].max() > 5 * data["cost"].min() > 0:
        axes.set_xscale("log")
        style.log_axis(axes.xaxis)
    else:
        _widen(axes, data["cost"].max())
    _zoom(axes, data["accuracy"], front["accuracy"])
    axes.set(xlabel=label, ylabel="top-1 accuracy, test (%)")
    key = _number(axes, data[data["front"] | data["recommended"]], COSTS[kind].unit)
    hidden = int((data["accuracy"] < axes.get_ylim()[0]).sum())
    below = f" {hidden} of {len(data)} lie below the axis." if hidden else ""
    text = f"{style.spread_note(data['n'])} Dimmed: another one is at least as good in both.{below}"
    style.note(figure, text, key, legend=axes)
    return figure


def _points(axes: Axes, data: pd.DataFrame) -> None:
    looks = precision_looks(data["precision"])
    look = looks.points("precision") | {"x": "cost", "y": "accuracy", "ax": axes}
    if not data["front"].all():
        sns.scatterplot(data[~data["front"]], **look, s=22, alpha=0.35, linewidth=0, legend=False)
    # the legend shows every precision as it looks on the front, wherever its own points lie
    sns.scatterplot(data[data["front"]], **look, s=46, edgecolor="black", linewidth=1, zorder=4)


def _mark_references(axes: Axes, data: pd.DataFrame) -> None:
    base = data[(data["run"] == DENSE) & (data["precision"] == FP32)]
    if len(base):
        axes.axhline(base["accuracy"].iloc[0], color=style.GREY, linestyle="--", linewidth=0.8, label=f"dense {FP32}")
    chosen = data[data["recommended"]]
    if len(chosen):
        ring = axes.scatter(chosen["cost"], chosen["accuracy"], s=190, zorder=5, label="recommended")
        ring.set(facecolor="none", edgecolor="#D55E00", linewidth=1.8)


def _zoom(axes: Axes, accuracy: pd.Series, front: pd.Series) -> None:
    """Keep networks that failed altogether from pressing all others to one line."""
    top = accuracy.max()
    quarter = accuracy.quantile(0.25)
    low = max(accuracy.min(), min(front.median(), quarter - 2 * (top - quarter) - 0.5))
    margin = 0.06 * max(top - low, 0.5)
    axes.set_ylim(low - margin, top + 3 * margin)


def _widen(axes: Axes, most: float) -> None:
    low, high = axes.get_xlim()
    if high - low < _SPAN * most:
        middle = (low + high) / 2
        axes.set_xlim(middle - _SPAN * most / 2, middle + _SPAN * most / 2)


def _number(axes: Axes, points: pd.DataFrame, unit: str) -> list[str]:
    """Number the front and the recommended network, of a long front the ends and some between; return the key.

    Points too close to each other for a label each share one.
    """
    visible = points[points["accuracy"] >= axes.get_ylim()[0]].reset_index(drop=True)
    spread = np.linspace(0, len(visible) - 1, min(_LABELS, len(visible))).round().astype(int)
    pixels = axes.transData.transform(visible[["cost", "accuracy"]].to_numpy())
    labels: dict[int, list[int]] = {}
    key = []
    for number, place in enumerate(sorted({*spread, *np.flatnonzero(visible["recommended"])}), 1):
        row = visible.iloc[place]
        near = [other for other in labels if np.abs(pixels[place] - pixels[other]).max() <= _APART]
        labels.setdefault(near[0] if near else place, []).append(number)
        mark = " (recommended)" if row["recommended"] else ""
        key.append(f"{number}  {row['name']}: {row['accuracy']:.2f} % at {row['cost']:.3g} {unit}{mark}")
    for place, numbers in labels.items():
        text = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 2 else ", ".join(map(str, numbers))
        offset = (-10, 8) if visible["recommended"][place] else (-4, 6)  # outside its ring
        position = (visible["cost"][place], visible["accuracy"][place])
        axes.annotate(text, position, offset, textcoords="offset points", ha="right", weight="bold", zorder=6)
    return key
