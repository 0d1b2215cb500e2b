"""Quantization-aware training, through multipliers where a recipe has some."""

from __future__ import annotations

from torch import Tensor, nn

from winnow.approximate.multipliers import Multipliers
from winnow.config.settings import QatSettings
from winnow.prune.masks import Masks
from winnow.quantize.aware import AwareTraining
from winnow.study.recipe import Recipe


def aware_training(
    model: nn.Module,
    example: Tensor,
    settings: QatSettings,
    recipe: Recipe,
    masks: Masks | None,
    multipliers: Multipliers | None,
) -> AwareTraining:
    """Return the training of a recipe, through its multipliers if they are not exact (None); see `AwareTraining`."""
    if multipliers is None:
        return AwareTraining(model, example, settings, recipe, masks)
    from winnow.approximate.aware import ApproximateTraining  # loads torch's compiler, which takes a second

    return ApproximateTraining(model, example, settings, recipe, multipliers.circuit, masks)
