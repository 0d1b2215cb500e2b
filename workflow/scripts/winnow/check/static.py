"""Post-training quantization, tried: calibrated on the few images."""

from __future__ import annotations

from winnow.check.trial import Details, Trial
from winnow.quantize.images import calibration_batches, check_calibration
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import PTQ


def tried(trial: Trial, recipe: Recipe) -> Details:
    """Calibrate and export the network; what is returned and raised is that of `Trial.integers`."""
    check_calibration(trial.data, recipe.calibration_samples)
    batches = calibration_batches(trial.few, len(trial.few.train_index))
    return trial.export_integer(quantize_static(trial.model, batches, recipe), PTQ)
