"""calibrate: trained weights + calibration images -> int8 model.onnx (post-training static)."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.approximate.export import export_approximate
from winnow.approximate.multipliers import Multipliers
from winnow.approximate.static import multiplied
from winnow.config.settings import ModelSettings
from winnow.config.typed import built
from winnow.models.build import load_model
from winnow.quantize.images import calibration_batches
from winnow.quantize.spared import spared_layers
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe

snakemake: Snakemake

with job(snakemake) as run:
    recipe = built(Recipe, snakemake.params.recipe)
    data = open_dataset(snakemake)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    spared = spared_layers(recipe, snakemake.input.spared or None, run)
    quantized = quantize_static(model, calibration_batches(data, recipe.calibration_samples), recipe, spared)
    multipliers = Multipliers.by(recipe, snakemake.input.multipliers or None)
    network = multiplied(quantized, calibration_batches(data, recipe.calibration_samples), recipe, multipliers)
    export_approximate(
        network,
        data,
        snakemake.output.onnx,
        run=run,
        multipliers=multipliers,
        baked_in=snakemake.params.baked_in,
    )
