"""Dynamic quantization, tried: of the fp32 file."""

from __future__ import annotations

from winnow.check.trial import Details, Trial
from winnow.quantize.dynamic import quantize_dynamic
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import DYNAMIC, FP32


def tried(trial: Trial, recipe: Recipe) -> Details:
    """Quantize the weights of the exported network; what is returned and raised is that of `Trial.integers`."""
    quantize_dynamic(trial.path(FP32), trial.path(DYNAMIC), recipe)
    return trial.integers(DYNAMIC)
