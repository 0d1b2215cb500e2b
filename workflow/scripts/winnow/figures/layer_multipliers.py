"""Which layer multiplies with which circuit, drawn."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.figures import style
from winnow.figures.looks import COLORS
from winnow.results.not_measured import Missing


def layer_multipliers(layers: pd.DataFrame) -> Figure:
    """Draw for each recipe what each layer multiplies and what its circuit alone does to the logits, of the first seed.

    Args:
        layers: rows of `collect_assignments` of one data set and network.

    Raises:
        Missing: no layer was given a circuit yet.
    """
    if layers.empty:
        raise Missing("No layer was given a multiplier yet; the rule choose_multipliers does it.")
    seed = layers["seed"].min()
    layers = layers[layers["seed"] == seed]
    powers = layers.groupby("multiplier")["layer_power"].first().sort_values(ascending=False)
    colors = {name: COLORS[number % len(COLORS)] for number, name in enumerate(powers.index)}
    recipes = list(layers["recipe"].unique())
    figure = style.new_figure(0.6 + 3.2 * len(recipes))
    panels = figure.subplots(2 * len(recipes), 1, sharex=True)
    for number, recipe in enumerate(recipes):
        own = layers[layers["recipe"] == recipe]
        _panels(panels[2 * number], panels[2 * number + 1], own, colors, powers)
        panels[2 * number].set_title(f"{recipe}: {100 * own['power'].iloc[0]:.1f} % of the power", loc="left")
    first = layers[layers["recipe"] == recipes[0]]
    style.layer_axis(panels[-1].xaxis, list(first["position"]), list(first["layer"]))
    text = (
        f"Seed {seed}. In brackets the power of the circuit, of exact 8 x 8 multipliers at 45 nm. Noise on "
        f"{int(layers['probed'].min())} validation images; exact multipliers make none."
    )
    style.note(figure, text, legend=panels[0])
    return figure


def _panels(above: Axes, below: Axes, layers: pd.DataFrame, colors: dict[str, str], powers: pd.Series) -> None:
    for name, color in colors.items():
        own = layers[layers["multiplier"] == name]
        above.bar(own["position"], 100 * own["macs"], 0.7, color=color, label=f"{name} ({100 * powers[name]:.1f} %)")
        noisy = own[own["noise"] > 0]
        below.plot(noisy["position"], 100 * noisy["noise"], "o", color=color)
    above.set_ylabel("MACs (%)")
    if (layers["noise"] > 0).any():
        below.set_yscale("log")
        style.log_axis(below.yaxis)
    below.set_ylabel("noise (%)")
