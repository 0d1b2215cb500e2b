"""Which layers a recipe leaves in float, from what was measured of the network."""

from __future__ import annotations

from pathlib import Path

from winnow.errors import WinnowError
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import AUTO
from winnow.study.sensitivity import MixedPrecision, Sensitivity


def spared_layers(recipe: Recipe, measured: str | Path | None, run: str) -> tuple[str, ...]:
    """Return the layers that stay in float, those that hurt most first.

    Args:
        measured: sensitivity.json of the network, or mixed.json where their number is left to Winnow; None if no layer
            is to stay in float.
        run: begins messages.

    Raises:
        WinnowError: the network has too few layers.
    """
    if not measured:
        return ()
    if recipe.keep_float == AUTO:
        return MixedPrecision.read(measured).spared
    order, count = Sensitivity.read(measured).order, int(recipe.keep_float)
    if count >= len(order):
        raise WinnowError(
            f"{run}: keep_float is {count}, but the network has {len(order)} layers that can compute on integers, and "
            "nothing would be left to quantize; keep fewer in float"
        )
    return order[:count]
