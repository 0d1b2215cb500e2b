"""Accuracy against sparsity drawn."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.analysis.pruning import accuracy_sparsity_data, dense_accuracy, one_shot_iterative_data, rewinding_data
from winnow.figures import style
from winnow.figures.style import COLORS, LINES, MARKERS
from winnow.results.numbers import plain
from winnow.study.vocabulary import AXES

_TICKS = 8


def accuracy_sparsity(results: pd.DataFrame) -> Figure:
    """Draw one line for each strategy, the dense base line, and chance as dotted grey lines."""
    return _lines(results, accuracy_sparsity_data(results))


def one_shot_iterative(results: pd.DataFrame) -> Figure:
    return _lines(results, one_shot_iterative_data(results))


def rewinding(results: pd.DataFrame) -> Figure:
    return _lines(results, rewinding_data(results))


def _lines(results: pd.DataFrame, data: pd.DataFrame) -> Figure:
    figure = style.new_figure(4.0)
    axes = figure.subplots()
    counts = list(data["n"])
    base = dense_accuracy(results)
    if base:
        mean, std, count = base
        axes.axhline(mean, color="black", linestyle="--", linewidth=1, label="dense")
        if pd.notna(std):
            axes.axhspan(mean - std, mean + std, color="black", alpha=0.08, linewidth=0)
            axes.get_lines()[0].set_label("dense, ± one standard deviation")
        counts.append(count)
    for place, (name, part) in enumerate(data.groupby("series", sort=False)):
        chance = part["criterion"].iloc[0] == "random"
        axes.errorbar(
            part["sparsity"],
            part["mean"],
            part["std"],
            label=f"{name} (control)" if chance else name,
            color=style.GREY if chance else COLORS[place % len(COLORS)],
            linestyle=":" if chance else LINES[place % len(LINES)],
            marker=MARKERS[place % len(MARKERS)],
            markerfacecolor="none",  # what lies below stays visible
            capsize=2,
            elinewidth=0.8,
        )
    _sparsity_axis(axes, data["sparsity"])
    axes.set_ylabel("top-1 accuracy, test (%)")
    style.legend_below(axes)
    kept = {axis: data[axis].iloc[0] for axis in AXES if data[axis].nunique() == 1 and axis != "ratio"}
    fixed = ", ".join(f"{axis} {plain(value)}" for axis, value in kept.items() if plain(value) != "none")
    style.note(figure, f"{style.spread_note(counts)} fp32, after the last round. All: {fixed}.")
    return figure


def _sparsity_axis(axes: Axes, sparsity: pd.Series) -> None:
    """Stretch the axis towards high sparsity, where accuracy breaks down: what counts is how much is left."""
    if sparsity.max() < 100 and sparsity.max() - sparsity.min() > 20:
        axes.set_xscale("function", functions=(lambda s: -((101 - s) ** 0.5), lambda t: 101 - t**2))
        axes.set_xticks(sorted({round(value, 1) for value in sparsity}), minor=False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(axis="x", labelrotation=60)
    elif sparsity.nunique() <= _TICKS:
        axes.set_xticks(sorted({round(value, 1) for value in sparsity}))
    unit = "weights or channels gone (%)"
    axes.set_xlabel(f"achieved sparsity: {unit}")
