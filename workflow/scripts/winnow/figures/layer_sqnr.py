"""Quantization noise by layer drawn."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from winnow.analysis.layers import layer_sqnr_data
from winnow.figures import style
from winnow.study.vocabulary import PRECISIONS


def layer_sqnr(layers: pd.DataFrame) -> Figure:
    """Draw a line for each method over the layers in their order."""
    data = layer_sqnr_data(layers)
    names = data.drop_duplicates("position").sort_values("position")
    figure = style.new_figure(3.6)
    axes = figure.subplots()
    for precision in PRECISIONS:
        part = data[data["precision"] == precision].sort_values("position")
        if len(part):
            axes.errorbar(
                part["position"],
                part["mean"],
                part["std"],
                color=PRECISIONS[precision].color,
                marker=PRECISIONS[precision].marker,
                linestyle=PRECISIONS[precision].line,
                label=precision,
                capsize=2,
                elinewidth=0.7,
            )
    axes.set_xticks(names["position"], names["layer"], rotation=90, fontsize=7 if len(names) < 30 else 5)
    axes.set_xlabel("layer, from input to output")
    axes.set_ylabel("SQNR (dB), higher is better")
    style.legend_below(axes)
    style.note(figure, style.spread_note(data["n"]) + " The dense network; 10 dB more is a tenth of the noise.")
    return figure
