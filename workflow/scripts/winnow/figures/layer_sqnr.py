"""Quantization noise by layer drawn."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.analysis.layers import layer_sqnr_data
from winnow.figures import style
from winnow.figures.looks import Looks, recipe_looks, series_looks
from winnow.results.recipes import by_method, recipes_of


def layer_sqnr(layers: pd.DataFrame) -> Figure:
    """Draw a line for each recipe over the layers in their order; where methods have several, a panel for each."""
    data = layer_sqnr_data(layers)
    groups = by_method(recipes_of(data))
    several = any(len(names) > 1 for names in groups.values())
    panels = groups if several else {"": [name for names in groups.values() for name in names]}
    figure = style.new_figure(3.8 if not several else 0.6 + 2.6 * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (method, names) in zip(axes, panels.items(), strict=True):
        looks = series_looks(names) if several else recipe_looks(data)
        _lines(panel, data[data["recipe"].isin(names)], looks)
        if several:
            place = {"bbox_to_anchor": (0, 1), "alignment": "left", "borderpad": 0}  # above, where it hides no data
            columns = style.legend_columns(names, 0.8 * style.WIDTH)
            sns.move_legend(panel, "lower left", **place, ncols=columns, title=method)
    named = data.drop_duplicates("position").sort_values("position")
    style.layer_axis(axes[-1].xaxis, list(named["position"]), list(named["layer"]))
    counts = data.groupby(["recipe", "position"]).size()
    text = f"{style.spread_note(counts)} The dense network; 10 dB more is a tenth of the noise."
    style.note(figure, text, legend=None if several else axes[0])
    return figure


def _lines(axes: Axes, data: pd.DataFrame, looks: Looks) -> None:
    sns.lineplot(data, x="position", y="value", **looks.lines("recipe"), **style.SPREAD_OVER_SEEDS, ax=axes)
    axes.set_ylabel("SQNR (dB), higher is better")
