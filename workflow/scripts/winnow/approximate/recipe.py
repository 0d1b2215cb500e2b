"""The multiplier of a recipe in a network that was quantized by it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from torch import Tensor, nn
from torch.fx import GraphModule

from winnow.approximate.aware import ApproximateTraining
from winnow.approximate.circuits import circuit
from winnow.approximate.correction import correct
from winnow.approximate.network import approximate
from winnow.config.settings import QatSettings
from winnow.prune.masks import Masks
from winnow.quantize.aware import AwareTraining
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


def aware_training(
    model: nn.Module, example: Tensor, settings: QatSettings, recipe: Recipe, masks: Masks | None
) -> AwareTraining:
    """Return the training of a recipe, through its multiplier if that is not the exact one; see `AwareTraining`."""
    if not recipe.approximate:
        return AwareTraining(model, example, settings, recipe, masks)
    found = circuit(multiplier(recipe.multiplier))
    return ApproximateTraining(model, example, settings, recipe, lambda _: found, masks)
