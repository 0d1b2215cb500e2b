"""The multiplier of a recipe in a network that was quantized after training."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from torch import Tensor
from torch.fx import GraphModule

from winnow.approximate.circuits import circuit
from winnow.approximate.correction import correct
from winnow.approximate.network import approximate
from winnow.study.multipliers import multiplier
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import CORRECTED

_BATCHES = 4  # of calibration: a mean over so many images and places is one number for each channel


def multiplied(module: GraphModule, batches: Iterable[Tensor], recipe: Recipe) -> GraphModule:
    """Return an int8 network with the multiplier of its recipe; with the exact one, the network as it is.

    Args:
        module: as `quantize_static` returns it.
        batches: calibration images, normalized float32 [N, C, H, W].
    """
    if not recipe.approximate:
        return module
    found = circuit(multiplier(recipe.multiplier))
    network = approximate(module, lambda _: found)
    if recipe.circuit_error == CORRECTED:
        correct(network, list(islice(batches, _BATCHES)))
    return network
