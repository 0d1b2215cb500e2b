"""Sparsity by layer drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from winnow.analysis.layers import layer_sparsity_data
from winnow.figures import style

_SHOWN_RUNS = 24
_NUMBERED_LAYERS = 14  # numbers of more would run into each other


def layer_sparsity(layers: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Draw a heat map of layers by strategies, with the numbers in it."""
    data = layer_sparsity_data(layers, results)
    shown = data.iloc[np.unique(np.linspace(0, len(data) - 1, min(len(data), _SHOWN_RUNS)).astype(int))]
    figure = style.new_figure(1.3 + 0.21 * max(len(shown), 7))
    axes = figure.subplots()
    sns.heatmap(
        shown,
        vmin=0,
        vmax=100,
        cmap="cividis",
        annot=shown.shape[1] <= _NUMBERED_LAYERS,
        fmt=".3g",
        annot_kws={"fontsize": 7},
        xticklabels=False,
        yticklabels=True,
        cbar_kws={"label": "weights\nremoved (%)"},
        ax=axes,
    )
    style.layer_axis(axes.xaxis, [place + 0.5 for place in range(shown.shape[1])], list(shown.columns))
    axes.tick_params(axis="y", labelsize=8, labelrotation=0)
    axes.set_ylabel("")
    left_out = f" {len(shown)} of {len(data)} strategies, evenly by sparsity." if len(shown) < len(data) else ""
    seeds = results["seed"].nunique()
    style.note(figure, f"{f'Mean over {seeds} seeds' if seeds > 1 else 'One seed'}, after the last round.{left_out}")
    return figure
