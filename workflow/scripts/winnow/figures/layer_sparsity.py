"""Sparsity by layer drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from winnow.analysis.layers import layer_sparsity_data
from winnow.figures import style

_SHOWN_RUNS = 24


def layer_sparsity(layers: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Draw a heat map of layers by strategies, with the numbers in it."""
    data = layer_sparsity_data(layers, results)
    shown = data.iloc[np.unique(np.linspace(0, len(data) - 1, min(len(data), _SHOWN_RUNS)).astype(int))]
    figure = style.new_figure(1.3 + 0.21 * max(len(shown), 7))
    axes = figure.subplots()
    image = axes.imshow(shown, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(shown.to_numpy()) if shown.shape[1] <= 14 else ():
        if not np.isnan(value):
            axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=6, color="wk"[int(value > 55)])
    axes.set_yticks(range(len(shown)), shown.index, fontsize=7)
    axes.set_xticks(range(shown.shape[1]), shown.columns, rotation=90, fontsize=7 if shown.shape[1] < 30 else 5)
    axes.set_xlabel("layer, from input to output")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="weights gone (%)", shrink=0.9)
    left_out = f" {len(shown)} of {len(data)} strategies, evenly by sparsity." if len(shown) < len(data) else ""
    seeds = results["seed"].nunique()
    style.note(figure, f"{f'Mean over {seeds} seeds' if seeds > 1 else 'One seed'}, after the last round.{left_out}")
    return figure
