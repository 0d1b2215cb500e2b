"""calibrate: trained weights + calibration images -> int8 model.onnx (post-training static)."""

from adapter import Snakemake, job
from winnow.approximate.export import export_approximate
from winnow.approximate.static import multiplied
from winnow.config.settings import ModelSettings
from winnow.config.typed import built
from winnow.data.dataset import load_dataset
from winnow.models.build import load_model
from winnow.quantize.static import calibration_batches, quantize_static
from winnow.study.recipe import Recipe

snakemake: Snakemake

with job(snakemake) as run:
    recipe = built(Recipe, snakemake.params.recipe)
    data = load_dataset(snakemake.input.data)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    quantized = quantize_static(model, calibration_batches(data, recipe.calibration_samples), recipe)
    network = multiplied(quantized, calibration_batches(data, recipe.calibration_samples), recipe)
    export_approximate(network, data, snakemake.output.onnx, run=run)
