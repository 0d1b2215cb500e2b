"""What quantizing each layer costs, and sparing it, drawn."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from winnow.figures import style
from winnow.figures.looks import COLORS
from winnow.results.not_measured import Missing
from winnow.study.vocabulary import RUNTIMES


def layer_sensitivity(layers: pd.DataFrame) -> Figure:
    """Draw two bars for each layer and a panel for each recipe, means over seeds; below it, milliseconds if known.

    Args:
        layers: rows of `collect_sensitivity` of one data set and network.

    Raises:
        Missing: nothing was measured.
    """
    if layers.empty:
        raise Missing("What each layer loses was not measured yet; the rule measure_sensitivity does it.")
    recipes = list(layers["recipe"].unique())
    timed = bool(layers["float_ms"].notna().any())
    heights = [2.6, 1.3][: 1 + timed] * len(recipes)
    figure = style.new_figure(0.6 + sum(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, below, recipe in zip(panels[:: 1 + timed], panels[timed :: 1 + timed], recipes, strict=True):
        own = layers[layers["recipe"] == recipe].groupby(["position", "layer"]).mean(numeric_only=True).reset_index()
        lost, gained = own["alone_top1"] - own["float_top1"], own["spared_top1"] - own["quantized_top1"]
        axes.bar(own["position"], 100 * lost, 0.7, color=COLORS[0], label="alone on integers")
        axes.bar(own["position"], 100 * gained, 0.7, color=COLORS[1], hatch="////", label="alone in float")
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(recipe, loc="left")
        axes.set_ylabel("change of\naccuracy (points)")
        if timed:
            below.bar(own["position"], own["float_ms"] - own["integer_ms"], 0.7, color=COLORS[2])
            below.axhline(0, color="black", linewidth=0.8)
            below.set_ylabel("sparing\ncosts (ms)")
    style.layer_axis(panels[-1].xaxis, list(own["position"]), list(own["layer"]))
    samples, seeds = int(layers["samples"].min()), layers["seed"].nunique()
    text = f"{samples} validation images, {'one seed' if seeds == 1 else f'means over {seeds} seeds'}."
    if timed:
        where = layers[layers["float_ms"].notna()].iloc[0]
        text += f" Milliseconds: {RUNTIMES[where['runtime']].label}, batch {where['batch_size']:g}."
    style.note(figure, text, legend=panels[0])
    return figure
