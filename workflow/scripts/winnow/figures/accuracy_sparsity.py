"""Accuracy against sparsity drawn."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from winnow.analysis.pruning import (
    accuracy_sparsity_seeds,
    dense_accuracy,
    one_shot_iterative_data,
    rewinding_data,
    strategies_in_panels,
)
from winnow.figures import style
from winnow.figures.looks import series_looks
from winnow.results.numbers import plain
from winnow.study.vocabulary import AXES, FP32, STRUCTURES

_TICKS = 8
_Place = TypeVar("_Place", float, NDArray[np.float64])  # one place, or an array of them
_APART = 0.065  # part of the axis between two labels; nearer ones would run into each other


def accuracy_sparsity(results: pd.DataFrame) -> Figure:
    """Draw one line for each strategy, the dense base line, and controls as dotted grey lines."""
    return _lines(results, strategies_in_panels(accuracy_sparsity_seeds(results)))


def one_shot_iterative(results: pd.DataFrame) -> Figure:
    """Draw lines for numbers of rounds, a panel for everything else that varies."""
    return _lines(results, strategies_in_panels(one_shot_iterative_data(results), "rounds"))


def rewinding(results: pd.DataFrame) -> Figure:
    """Draw lines for what is trained after pruning, a panel for everything else that varies."""
    return _lines(results, strategies_in_panels(rewinding_data(results), "rewind"))


def _lines(results: pd.DataFrame, data: pd.DataFrame) -> Figure:
    data = data.assign(line=data["line"].where(~data["control"], data["line"] + " (control)"))
    names = list(data["panel"].unique())
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = style.new_figure(3.4 if rows == 1 else 0.6 + 1.9 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for panel, name in zip(panels, names, strict=False):
        _panel(panel, data[data["panel"] == name], data, dense_accuracy(results))
        panel.set_title(name)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    _sparsity_axis(panels[0], data["sparsity"], _APART * columns)
    for panel in panels[len(names) - columns : len(names)]:
        panel.xaxis.set_tick_params(labelbottom=True)
        panel.set_xlabel("achieved sparsity (%)")
    for panel in panels[::columns]:
        panel.set_ylabel("top-1 accuracy,\ntest (%)" if rows > 1 else "top-1 accuracy, test (%)")
    counts = [*data.groupby(["panel", "line", "sparsity"]).size()]
    if base := dense_accuracy(results):
        counts.append(base[2])
    kept = {axis: data[axis].iloc[0] for axis in AXES if data[axis].nunique() == 1 and axis != "ratio"}
    fixed = ", ".join(f"{axis} {plain(value)}" for axis, value in kept.items() if plain(value) != "none")
    units = " or ".join(structure.unit for structure in STRUCTURES.present(data["structure"]))
    text = f"{style.spread_note(counts)} {FP32}, after the last round; sparsity of {units}. All: {fixed}."
    style.note(figure, text, legend=panels[0])
    return figure


def _panel(axes: Axes, part: pd.DataFrame, data: pd.DataFrame, base: tuple[float, float, int] | None) -> None:
    if base:
        mean, std, _ = base
        spread = pd.notna(std)
        label = "dense, ± one standard deviation" if spread else "dense"
        axes.axhline(mean, color="black", linestyle="--", linewidth=1, label=label)
        if spread:
            axes.axhspan(mean - std, mean + std, color="black", alpha=0.08, linewidth=0)
    sns.lineplot(
        part,
        x="sparsity",
        y="accuracy",
        **series_looks(list(data["line"].unique()), data.loc[data["control"], "line"]).lines("line"),
        **style.SPREAD_OVER_SEEDS,
        markerfacecolor="none",  # what lies below stays visible
        markeredgecolor="auto",
        ax=axes,
    )
    axes.set(xlabel="", ylabel="")
    axes.grid(visible=True, which="both", axis="x")  # also where there is no room for a number


def _sparsity_axis(axes: Axes, sparsity: pd.Series, apart: float) -> None:
    """Stretch the axis towards high sparsity, where accuracy breaks down: what counts is how much is left.

    Args:
        apart: least distance between two numbers, as part of the axis.
    """
    values = sorted({round(value, 1) for value in sparsity}, reverse=True)
    if values[0] < 100 and values[0] - values[-1] > 20:
        axes.set_xscale("function", functions=(_stretched, _relaxed))
        low, high = _stretched(values[-1]), _stretched(values[0])
        margin = 0.04 * (high - low)
        axes.set_xlim(_relaxed(low - margin), _relaxed(high + margin))
        named: list[float] = []
        for value in values:
            if not named or _stretched(named[-1]) - _stretched(value) >= apart * (high - low):
                named.append(value)
        axes.set_xticks(named, [f"{value:g}" for value in named])
        axes.set_xticks([value for value in values if value not in named], minor=True)
    elif len(values) <= _TICKS:
        axes.set_xticks(values)


def _stretched(sparsity: _Place) -> _Place:
    place: _Place = -(np.maximum(101 - sparsity, 0) ** 0.5)
    return place


def _relaxed(place: _Place) -> _Place:
    return 101 - place**2
