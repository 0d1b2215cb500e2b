"""choose_float: sensitivity.json -> the fewest layers in float with which a network is accurate enough."""

from winnow.quantize.mixed import spare_layers

from adapter import Snakemake, job
from winnow.config.settings import ModelSettings
from winnow.config.typed import built
from winnow.data.dataset import load_dataset
from winnow.models.build import load_model
from winnow.quantize.static import calibration_batches, validation_batches
from winnow.study.recipe import Recipe
from winnow.study.sensitivity import Sensitivity

snakemake: Snakemake

with job(snakemake) as run:
    recipe, points = built(Recipe, snakemake.params.recipe), snakemake.params.max_accuracy_drop
    data = load_dataset(snakemake.input.data)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    images = calibration_batches(data, recipe.calibration_samples)
    order = Sensitivity.read(snakemake.input.sensitivity).order
    limit = 1.0 if points is None else points / 100
    chosen = spare_layers(model, images, recipe, order, validation_batches(data), limit, run)
    chosen.write(snakemake.output.mixed)
