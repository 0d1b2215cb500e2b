"""Measured against theoretical speedup drawn."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from winnow.analysis.pruning import speedup_data
from winnow.figures import style
from winnow.figures.style import COLORS, MARKERS


def speedup(results: pd.DataFrame) -> Figure:
    """Draw measured against theoretical speedup; on the diagonal, every removed multiplication would save its time."""
    data = speedup_data(results)
    figure = style.new_figure(4.2)
    axes = figure.subplots()
    structures = sorted(data["structure"].unique())
    for place, (configuration, part) in enumerate(data.groupby("configuration", sort=False)):
        for structure, points in part.groupby("structure"):
            hollow = structure == "unstructured" and len(structures) > 1
            axes.errorbar(
                points["theoretical"],
                points["measured"],
                points["measured_std"],
                linestyle="none",
                marker=MARKERS[place % len(MARKERS)],
                color=COLORS[place % len(COLORS)],
                markerfacecolor="none" if hollow else COLORS[place % len(COLORS)],
                elinewidth=0.7,
                label=f"{structure}: {configuration}" if len(structures) > 1 else configuration,
            )
    low = min(0.9, data["measured"].min())
    high = max(data["theoretical"].max(), data["measured"].max()) * 1.1
    axes.plot([low, high], [low, high], color="black", linestyle="--", linewidth=0.9, label="as theory has it")
    axes.axhline(1, color=style.GREY, linewidth=0.9, linestyle=":", label="no faster than dense")
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.set_xlabel("theoretical speedup: multiplications of the dense network over non-zero ones")
    axes.set_ylabel("measured speedup of latency")
    style.legend_below(axes)
    style.note(figure, f"{style.spread_note(data['n'])} fp32, after the last round.")
    return figure
