"""train_quantized: trained weights -> quantization-aware training -> int8 model.onnx and its float counterpart."""

from pathlib import Path

from adapter import beside, job, parameters
from winnow.check.feasibility import ensure_checked
from winnow.config.settings import CheckSettings, ModelSettings, QatSettings
from winnow.data.dataset import load_dataset
from winnow.deploy.export import example_images, export_checked
from winnow.models.build import load_model
from winnow.prune.masks import load_masks
from winnow.quantize.aware import AwareTraining
from winnow.study.training import Training
from winnow.train.loop import train
from winnow.train.resume import resume_file

with job(snakemake) as run:
    settings = QatSettings.of(snakemake.params.qat)
    seed = int(snakemake.wildcards.seed)
    data = load_dataset(snakemake.input.data)
    ensure_checked(snakemake.input.checked, CheckSettings.of(snakemake.params.request), data, run)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    masks = load_masks(snakemake.input.masks) if snakemake.input.masks else None
    aware = AwareTraining(model, example_images(data), settings, masks)
    resume = resume_file(
        beside(snakemake.output.onnx, "weights.resume"),
        parameters(snakemake),
        [snakemake.input.data, snakemake.input.weights, *([snakemake.input.masks] if masks else [])],
        seed,
    )
    record = train(
        aware.trainee,
        data,
        settings.training,
        run=run,
        seed=seed,
        resume=resume,
        history=Path(snakemake.output.history),
        snapshots={},
        tdp_watts=snakemake.params.tdp_watts,
    )
    aware.check(run)
    export_checked(aware.float_model(), data, snakemake.output.float, run=run, integer=False)
    export_checked(aware.convert(), data, snakemake.output.onnx, run=run, integer=True)
    record.after(Training.read(snakemake.input.record)).write(snakemake.output.record)
    resume.discard()
