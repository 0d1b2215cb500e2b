"""Parallel coordinates for the page: interactive, with plotly, which works offline."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from winnow.analysis.parallel import accuracy_limits, coordinates, limits, parallel_data
from winnow.config.recommend import RecommendSettings

_BRIGHTEST = 0.88  # of the colour map; its end fades on white


def parallel_plot(results: pd.DataFrame, settings: RecommendSettings, view: str | None) -> dict[str, Any]:
    """Return the data and layout of an interactive plot, as plotly.js takes them.

    Ranges can be brushed on every axis, and axes dragged.

    Raises:
        Missing: the view is empty.
    """
    import plotly.graph_objects as go  # a second of loading that most callers need not pay
    from plotly.colors import sample_colorscale

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
    stops = (0.0, 0.25, 0.5, 0.75, 1.0)
    shades = sample_colorscale("Viridis", [_BRIGHTEST * stop for stop in stops])
    least, most = accuracy_limits(everything)
    line = {
        "color": list(100 * data["top1"]),
        "colorscale": [list(pair) for pair in zip(stops, shades, strict=True)],
        "cmin": float(least),
        "cmax": float(most),
        "showscale": True,
        "colorbar": {"title": {"text": "top-1 (%)"}},
    }
    figure = go.Figure(go.Parcoords(line=line, dimensions=dimensions, labelangle=-20))
    figure.update_layout(height=430, margin={"l": 50, "r": 30, "t": 90, "b": 30}, font={"size": 12}, template="none")
    plot: dict[str, Any] = json.loads(figure.to_json())
    return plot
