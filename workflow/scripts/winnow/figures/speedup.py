"""Measured against theoretical speedup drawn."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.analysis.pruning import speedup_data
from winnow.figures import style
from winnow.figures.looks import series_looks
from winnow.study.vocabulary import FP32, STRUCTURES


def speedup(results: pd.DataFrame) -> Figure:
    """Draw a panel for each structure; on the diagonal, every removed multiplication would save its time."""
    data = speedup_data(results)
    structures = STRUCTURES.present(data["structure"])
    low = min(0.9, data["measured"].min())
    high = max(data["theoretical"].max(), data["measured"].max()) * 1.1
    figure = style.new_figure(3.3)
    panels = figure.subplots(1, len(structures), sharex=True, sharey=True, squeeze=False)[0]
    for panel, structure in zip(panels, structures, strict=True):
        _points(panel, data[data["structure"] == structure.name], list(data["configuration"].unique()))
        panel.plot([low, high], [low, high], color="black", linestyle="--", linewidth=0.9, label="as theory has it")
        panel.axhline(1, color=style.GREY, linewidth=0.9, linestyle=":", label="no faster than dense")
        panel.set(title=structure.action, xlabel="theoretical speedup")
    for scale in (panels[0].set_xscale, panels[0].set_yscale):
        scale("log", base=2)
    for axis in (panels[0].xaxis, panels[0].yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}x")
    panels[0].set_ylabel("measured speedup of latency")
    theory = "Theoretical: multiplications of the dense network over non-zero ones."
    text = f"{style.spread_note(data['n'])} {FP32}, after the last round. A point is a strategy. {theory}"
    style.note(figure, text, legend=panels[0])
    return figure


def _points(axes: Axes, part: pd.DataFrame, configurations: list[str]) -> None:
    looks = series_looks(configurations)
    for configuration, points in part.groupby("configuration", sort=False):
        style.error_bars(axes, points, "theoretical", "measured", "measured_std", looks.colors[str(configuration)])
    sns.scatterplot(part, x="theoretical", y="measured", **looks.points("configuration"), s=28, ax=axes, zorder=3)
    axes.set_ylabel("")
