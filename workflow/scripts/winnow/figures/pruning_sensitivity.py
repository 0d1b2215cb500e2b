"""What each layer bears when it alone is pruned, drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from winnow.figures import style
from winnow.results.not_measured import Missing
from winnow.study.vocabulary import STRUCTURES

_COLORS = colormaps["cividis"]
_LEAST = 0.01  # of a layer: what is less is drawn there
_MARKS = "os^D"


def pruning_sensitivity(curves: pd.DataFrame) -> Figure:
    """Draw layers by what is left of them, coloured by the accuracy that it costs, a panel for each criterion.

    Args:
        curves: rows of `collect_curves` of one data set and network.

    Raises:
        Missing: nothing was pruned yet.
    """
    if curves.empty:
        raise Missing("No layer was pruned alone yet; prune does it with scope sensitivity.")
    kinds = curves[["criterion", "structure"]].drop_duplicates().to_records(index=False).tolist()
    figure = style.new_figure(0.9 + 3.3 * len(kinds))
    panels = figure.subplots(len(kinds), 1, squeeze=False)[:, 0]
    for axes, (criterion, structure) in zip(panels, kinds, strict=True):
        own = curves[(curves["criterion"] == criterion) & (curves["structure"] == structure)]
        _panel(figure, axes, own)
        axes.set_title(f"{criterion}, {STRUCTURES[structure].units}", loc="left")
    seeds = curves["seed"].nunique()
    text = f"{'One seed' if seeds == 1 else f'Means over {seeds} seeds'}, before retraining; first rounds."
    style.note(figure, text, legend=panels[0])
    return figure


def _panel(figure: Figure, axes: Axes, curves: pd.DataFrame) -> None:
    keys = ["position", "layer", "removed"]
    means = curves.groupby(keys).mean(numeric_only=True).reset_index()
    whole = means[means["removed"] == 0].set_index("position")["top1"]
    means["change"] = 100 * (means["top1"] - means["position"].map(whole))
    colors = ScalarMappable(Normalize(min(means["change"].min(), -1.0), 0), _COLORS)
    for place in means["position"].unique():
        layer = means[means["position"] == place].sort_values("removed")
        left = np.maximum(1 - layer["removed"].to_numpy(), _LEAST)
        edges = np.concatenate([[1.0], np.sqrt(left[1:] * left[:-1]), [left[-1] * 0.9]])
        shades = colors.to_rgba(layer["change"].to_numpy())
        axes.bar(np.full(len(left), place), -100 * np.diff(edges), 0.9, 100 * edges[1:], color=shades)
    taken = curves.groupby(["requested", "position"])["taken"].mean().reset_index()
    requests = sorted(taken["requested"].unique())
    shown = [requests[place] for place in np.unique(np.linspace(0, len(requests) - 1, len(_MARKS)).astype(int))]
    for mark, request in zip(_MARKS, shown, strict=False):
        own = taken[taken["requested"] == request]
        left = 100 * np.maximum(1 - own["taken"], _LEAST)
        axes.plot(
            own["position"], left, mark, color="white", markeredgecolor="black", label=f"{100 * request:.3g} % removed"
        )
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.set_yticks([100 / 2**step for step in range(7) if 100 / 2**step >= axes.get_ylim()[0]])
    axes.set_ylim(top=112)
    axes.set_ylabel("left of the layer (%)")
    names = means.drop_duplicates("position")
    style.layer_axis(axes.xaxis, list(names["position"]), list(names["layer"]))
    figure.colorbar(colors, ax=axes, label="change of\naccuracy (points)")
