"""measure_sensitivity: trained weights + validation images -> what quantizing each layer costs."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.config.settings import ModelSettings
from winnow.config.typed import built
from winnow.models.build import load_model
from winnow.quantize.images import calibration_batches, validation_batches
from winnow.quantize.sensitivity import measure_sensitivity
from winnow.study.recipe import Recipe

snakemake: Snakemake

with job(snakemake):
    recipe = built(Recipe, snakemake.params.recipe)
    data = open_dataset(snakemake)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    images = calibration_batches(data, recipe.calibration_samples)
    found = measure_sensitivity(model, images, recipe, validation_batches(data))
    found.write(snakemake.output.sensitivity)
