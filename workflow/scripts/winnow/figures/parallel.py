"""Parallel coordinates drawn, for paper and for those who open no page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from winnow.analysis.parallel import (
    VIEWS,
    Coordinate,
    accuracy_limits,
    coordinates,
    limits,
    parallel_data,
    tick_text,
)
from winnow.config.recommend import RecommendSettings
from winnow.figures import style
from winnow.figures.looks import precision_looks
from winnow.results.not_measured import Missing
from winnow.results.numbers import listed
from winnow.study.recipe_axes import RECIPE_AXES
from winnow.study.vocabulary import STRUCTURES

_MOST = 12  # axes
_MAP = ListedColormap(colormaps["viridis"](np.linspace(0, 0.88, 256)))  # its brightest end fades on white


def parallel_static(results: pd.DataFrame, settings: RecommendSettings) -> Figure:
    """Draw the views that hold networks one below the other, with common scales; the colour is accuracy."""
    everything = parallel_data(results, settings)
    if len(everything) < 3:
        raise Missing("Fewer than three networks were evaluated; there is nothing to compare.")
    whole = coordinates(everything, everything)
    left_out = [axis.column for axis in whole if axis.column in RECIPE_AXES][::-1][: max(0, len(whole) - _MOST)]
    whole = [axis for axis in whole if axis.column not in left_out]
    norm = Normalize(*accuracy_limits(everything))
    views = {view: found for view in VIEWS if (found := _view(results, settings, view)) is not None}
    figure = style.new_figure(2.1 * len(views))
    panels = figure.subplots(len(views), 1, squeeze=False)[:, 0]
    for panel, (view, data) in zip(panels, views.items(), strict=True):
        panel.set_title(f"{VIEWS[view]}: {len(data)} of {len(everything)} networks", loc="left")
        shown = [axis for axis in coordinates(data, everything) if axis.column not in left_out]
        _draw(panel, data, shown, whole, norm)
    extend = "min" if 100 * everything["top1"].min() < norm.vmin else "neither"
    shades = ScalarMappable(norm, _MAP)
    bar = figure.colorbar(shades, ax=list(panels), extend=extend, location="bottom", shrink=0.7, aspect=40)
    bar.set_label("top-1 accuracy, test (%)")
    empty = [title for view, title in VIEWS.items() if view not in views]
    without = f" No network was evaluated of: {listed(empty)}." if empty else ""
    without += f" Axes that only the interactive plot has room for: {listed(left_out[::-1])}." if left_out else ""
    style.note(
        figure,
        "Means over seeds; a line is a combination of pruning and recipe. Lowest, highest: a quarter of all. Line "
        f"style: precision, solid for fp32.{without}",
    )
    return figure


def _view(results: pd.DataFrame, settings: RecommendSettings, view: str) -> pd.DataFrame | None:
    try:
        return parallel_data(results, settings, view)
    except Missing:
        return None


def _draw(panel: Axes, data: pd.DataFrame, axes: list[Coordinate], whole: list[Coordinate], norm: Normalize) -> None:
    panel.set(xlim=(-0.3, len(axes) - 0.7), ylim=(-0.1, 1.1), yticks=[])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    lines = []
    for place, (axis, every) in enumerate(zip(axes, whole, strict=True)):
        low, high = limits(axis, every)
        lines.append(pd.DataFrame({"place": place, "height": (axis.values - low) / (high - low), "line": data.index}))
        panel.axvline(place, color=style.GREY, linewidth=0.8, zorder=1)
        texts = enumerate(map(_short, axis.choices)) if axis.choices else ((v, tick_text(v)) for v in (low, high))
        box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.3}
        for value, text in texts:
            position = (place, (value - low) / (high - low))
            panel.annotate(text, position, fontsize=7, ha="center", va="center", zorder=5, bbox=box)
    _plot(panel, pd.concat(lines, ignore_index=True).join(data[["precision", "top1"]], on="line"), norm)
    labels = [axis.label.replace(" ", "\n", 1) for axis in axes]
    panel.set_xticks(range(len(axes)), labels, fontsize=7)


def _plot(panel: Axes, points: pd.DataFrame, norm: Normalize) -> None:
    # a line breaks where a value is missing: each piece is a unit of its own
    pieces = points.sort_values(["line", "place"])
    pieces = pieces.assign(piece=pieces["height"].isna().cumsum(), accuracy=100 * pieces["top1"])
    sns.lineplot(
        pieces.assign(unit=pieces["line"].astype(str) + "/" + pieces["piece"].astype(str)),
        x="place",
        y="height",
        hue="accuracy",
        hue_norm=norm,
        palette=_MAP,
        style="precision",
        dashes=precision_looks(points["precision"]).dashes,
        units="unit",
        estimator=None,
        linewidth=1,
        alpha=0.8,
        zorder=2,
        legend=False,
        ax=panel,
    )
    panel.set(xlabel="", ylabel="")


def _short(choice: str) -> str:
    """Return what a structure removes, which is shorter than its name; other choices almost as they are."""
    return STRUCTURES[choice].unit if choice in STRUCTURES else choice.removeprefix("per_")
