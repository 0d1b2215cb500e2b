"""calibrate: trained weights + calibration images -> int8 model.onnx (post-training static)."""

from adapter import Snakemake, job
from winnow.config.settings import ModelSettings, PtqSettings
from winnow.data.dataset import load_dataset
from winnow.deploy.export import export_checked
from winnow.models.build import load_model
from winnow.quantize.static import calibration_batches, quantize_static
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import PTQ

snakemake: Snakemake

with job(snakemake) as run:
    settings = PtqSettings.of(snakemake.params.ptq)
    data = load_dataset(snakemake.input.data)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    recipe = Recipe(PTQ, settings.observer, settings.calibration_samples)
    quantized = quantize_static(model, calibration_batches(data, recipe.calibration_samples), recipe)
    export_checked(quantized, data, snakemake.output.onnx, run=run, integer=True)
