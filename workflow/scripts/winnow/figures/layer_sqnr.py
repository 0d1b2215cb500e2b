"""Quantization noise by layer drawn."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from winnow.analysis.layers import layer_sqnr_data
from winnow.figures import style
from winnow.figures.looks import precision_looks


def layer_sqnr(layers: pd.DataFrame) -> Figure:
    """Draw a line for each method over the layers in their order."""
    data = layer_sqnr_data(layers)
    names = data.drop_duplicates("position").sort_values("position")
    figure = style.new_figure(3.8)
    axes = figure.subplots()
    sns.lineplot(
        data,
        x="position",
        y="value",
        **precision_looks(data["precision"]).lines("precision"),
        **style.SPREAD_OVER_SEEDS,
        ax=axes,
    )
    style.layer_axis(axes.xaxis, list(names["position"]), list(names["layer"]))
    axes.set_ylabel("SQNR (dB), higher is better")
    counts = data.groupby(["precision", "position"]).size()
    text = f"{style.spread_note(counts)} The dense network; 10 dB more is a tenth of the noise."
    style.note(figure, text, legend=axes)
    return figure
