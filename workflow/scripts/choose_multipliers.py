"""choose_multipliers: trained weights + validation images -> the cheapest multiplier of each layer that is borne."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.approximate.assignment import assign
from winnow.config.settings import ModelSettings
from winnow.config.typed import built
from winnow.models.build import load_model
from winnow.quantize.images import calibration_batches, validation_batches
from winnow.quantize.sensitivity import Scorer
from winnow.quantize.spared import spared_layers
from winnow.quantize.static import quantize_static
from winnow.study.multipliers import OwnMultiplier, described
from winnow.study.recipe import Recipe

snakemake: Snakemake

with job(snakemake) as run:
    recipe, points = built(Recipe, snakemake.params.recipe), snakemake.params.drop
    named = [entry if isinstance(entry, str) else built(OwnMultiplier, entry) for entry in snakemake.params.candidates]
    data = open_dataset(snakemake)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    images, validation = list(calibration_batches(data, recipe.calibration_samples)), validation_batches(data)
    int8 = quantize_static(model, images, recipe, spared_layers(recipe, snakemake.input.spared or None, run))
    scorer = Scorer(model, validation)
    limit = 1.0 if points is None else points / 100
    chosen = assign(int8, images, validation, scorer, list(map(described, named)), recipe, limit, run)
    chosen.write(snakemake.output.multipliers)
