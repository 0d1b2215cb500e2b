"""Parallel coordinates drawn: static with matplotlib, interactive with plotly, which works offline."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_hex
from matplotlib.figure import Figure

from winnow.analysis.parallel import VIEWS, Coordinate, coordinates, limits, parallel_data, tick_text
from winnow.config.recommend import RecommendSettings
from winnow.figures import style
from winnow.results.not_measured import Missing
from winnow.study.vocabulary import PRECISIONS

_MAP = ListedColormap(colormaps["viridis"](np.linspace(0, 0.88, 256)))  # its brightest end fades on white
_LINE_STYLES = ("-", "--", ":", "-.")


def parallel_static(results: pd.DataFrame, settings: RecommendSettings) -> Figure:
    """Draw the four views one below the other, with common scales; the colour is accuracy."""
    everything = parallel_data(results, settings)
    if len(everything) < 3:
        raise Missing("Fewer than three networks were evaluated; there is nothing to compare.")
    whole = coordinates(everything, everything)
    accuracy = 100 * everything["top1"]
    norm = Normalize(accuracy.min(), accuracy.max() if accuracy.max() > accuracy.min() else accuracy.min() + 1)
    figure = style.new_figure(8.4)
    panels = figure.subplots(len(VIEWS), 1)
    for panel, (view, title) in zip(panels, VIEWS.items(), strict=True):
        try:
            data = parallel_data(results, settings, view)
        except Missing as missing:
            panel.set_axis_off()
            panel.set_title(title, loc="left")
            panel.text(0.5, 0.5, str(missing), ha="center", transform=panel.transAxes)
            continue
        panel.set_title(f"{title}: {len(data)} of {len(everything)} networks", loc="left")
        _draw(panel, data, coordinates(data, everything), whole, norm)
    figure.colorbar(ScalarMappable(norm, _MAP), ax=panels, label="top-1 accuracy, test (%)", shrink=0.5, aspect=40)
    style.note(
        figure,
        "Means over seeds; a line is a combination of pruning and precision. Lowest, highest: a quarter of all. Line "
        "style: precision, solid for fp32.",
    )
    return figure


def _draw(panel: Axes, data: pd.DataFrame, axes: list[Coordinate], whole: list[Coordinate], norm: Normalize) -> None:
    panel.set_xlim(-0.2, len(axes) - 0.8)
    panel.set_ylim(-0.08, 1.08)
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    scaled = []
    for place, (axis, every) in enumerate(zip(axes, whole, strict=True)):
        low, high = limits(axis, every)
        scaled.append((axis.values - low) / (high - low))
        panel.axvline(place, color=style.GREY, linewidth=0.8, zorder=1)
        ticks = enumerate(axis.choices) if axis.choices else ((v, tick_text(v)) for v in (low, high))
        for value, text in ticks:
            position = (value - low) / (high - low)
            box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.3}
            panel.text(
                place,
                position,
                text.replace("unstructured", "weights"),
                fontsize=6,
                ha="center",
                va="center",
                zorder=5,
                bbox=box,
            )
    panel.set_xticks(range(len(axes)), [axis.label for axis in axes], fontsize=6.5, rotation=18)
    lines, colors = np.array(scaled).T, _MAP(norm(100 * data["top1"].to_numpy()))
    for line, color, precision in zip(lines, colors, data["precision"], strict=True):
        dashes = PRECISIONS[precision].line
        panel.plot(range(len(axes)), line, color=color, linestyle=dashes, linewidth=1, alpha=0.8, zorder=2)


def parallel_plot(results: pd.DataFrame, settings: RecommendSettings, view: str | None) -> dict:
    """Return the data and layout of an interactive plot, as plotly.js takes them.

    Ranges can be brushed on every axis, and axes dragged.

    Raises:
        Missing: the view is empty.
    """
    import plotly.graph_objects as go  # a second of loading that most callers need not pay

    everything = parallel_data(results, settings)
    data = parallel_data(results, settings, view)
    whole = coordinates(everything, everything)
    dimensions = []
    for axis, every in zip(coordinates(data, everything), whole, strict=True):
        low, high = limits(axis, every)
        entry = {"label": axis.label, "values": [None if np.isnan(v) else round(float(v), 5) for v in axis.values]}
        entry["range"] = [low, high]
        if axis.choices:
            entry |= {"tickvals": list(range(len(axis.choices))), "ticktext": list(axis.choices)}
        dimensions.append(entry)
    accuracy = 100 * everything["top1"]
    line = {
        "color": list(100 * data["top1"]),
        "colorscale": [[stop, to_hex(_MAP(stop))] for stop in (0.0, 0.25, 0.5, 0.75, 1.0)],
        "showscale": True,
    }
    line |= {"cmin": float(accuracy.min()), "cmax": float(accuracy.max()), "colorbar": {"title": {"text": "top-1 (%)"}}}
    figure = go.Figure(go.Parcoords(line=line, dimensions=dimensions, labelangle=-20))
    figure.update_layout(height=430, margin={"l": 50, "r": 30, "t": 90, "b": 30}, font={"size": 12}, template="none")
    return json.loads(figure.to_json())
