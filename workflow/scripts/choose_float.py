"""choose_float: sensitivity.json -> the fewest layers in float with which a network is accurate enough."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.config.settings import ModelSettings
from winnow.config.typed import built
from winnow.models.build import load_model
from winnow.quantize.images import calibration_batches, validation_batches
from winnow.quantize.mixed import spare_layers
from winnow.study.recipe import Recipe
from winnow.study.sensitivity import Sensitivity

snakemake: Snakemake

with job(snakemake) as run:
    recipe, points = built(Recipe, snakemake.params.recipe), snakemake.params.max_accuracy_drop
    data = open_dataset(snakemake)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    images = calibration_batches(data, recipe.calibration_samples)
    order = Sensitivity.read(snakemake.input.sensitivity).order
    limit = 1.0 if points is None else points / 100
    chosen = spare_layers(model, images, recipe, order, validation_batches(data), limit, run)
    chosen.write(snakemake.output.mixed)
