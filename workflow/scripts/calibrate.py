"""calibrate: trained weights + calibration images -> int8 model.onnx (post-training static)."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.config.settings import ModelSettings, PtqSettings
from winnow.deploy.export import export_checked
from winnow.models.build import load_model
from winnow.quantize.static import calibration_batches, quantize_static

snakemake: Snakemake

with job(snakemake) as run:
    settings = PtqSettings.of(snakemake.params.ptq)
    data = open_dataset(snakemake)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    quantized = quantize_static(model, calibration_batches(data, settings.calibration_samples), settings.observer)
    export_checked(quantized, data, snakemake.output.onnx, run=run, integer=True)
