"""The multiplier of a recipe in a network that was quantized after training."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from torch import Tensor
from torch.fx import GraphModule

from winnow.approximate.correction import correct
from winnow.approximate.multipliers import Multipliers
from winnow.approximate.network import approximate
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import CORRECTED

CORRECTED_ON = 4
"""Batches of calibration images that mean errors are measured on: a mean over so many images and places is one number
for each channel."""


def multiplied(
    module: GraphModule, batches: Iterable[Tensor], recipe: Recipe, multipliers: Multipliers | None
) -> GraphModule:
    """Return an int8 network with multipliers, None for the network as it is, whose mean errors are treated by recipe.

    Args:
        module: as `quantize_static` returns it.
        batches: calibration images, normalized float32 [N, C, H, W].
    """
    if multipliers is None:
        return module
    network = approximate(module, multipliers.circuit)
    if recipe.circuit_error == CORRECTED:
        correct(network, list(islice(batches, CORRECTED_ON)))
    return network
