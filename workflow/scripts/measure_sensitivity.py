"""measure_sensitivity: trained weights + validation images -> what quantizing each layer costs."""

from winnow.quantize.sensitivity import measure_sensitivity

from adapter import Snakemake, job
from winnow.config.settings import ModelSettings
from winnow.config.typed import built
from winnow.data.dataset import load_dataset
from winnow.models.build import load_model
from winnow.quantize.static import calibration_batches, validation_batches
from winnow.study.recipe import Recipe

snakemake: Snakemake

with job(snakemake):
    recipe = built(Recipe, snakemake.params.recipe)
    data = load_dataset(snakemake.input.data)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    images = calibration_batches(data, recipe.calibration_samples)
    found = measure_sensitivity(model, images, recipe, validation_batches(data))
    found.write(snakemake.output.sensitivity)
