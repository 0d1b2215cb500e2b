"""Quantization-aware training, tried: as many steps as its settings say."""

from __future__ import annotations

from winnow.check.trial import Details, Trial, few_images
from winnow.deploy.export import example_images
from winnow.quantize.aware import AwareTraining
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import QAT


def tried(trial: Trial, recipe: Recipe) -> Details:
    """Train and export the network, and its float counterpart; what is returned and raised is of `Trial.integers`."""
    settings = trial.settings.qat
    assert settings is not None  # the request has them where it asks for the method
    aware = AwareTraining(trial.model, example_images(trial.few), settings, recipe)
    few = few_images(trial.data, settings.training.batch_size)
    trial.train(aware.trainee, few, settings.training, QAT)
    trial.export_float(aware.float_model(), f"{QAT}-float")
    return trial.export_integer(aware.convert(), QAT)
