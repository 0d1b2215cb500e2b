"""train_quantized: trained weights -> quantization-aware training -> int8 model.onnx and its float counterpart."""

from dataclasses import replace

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from training_adapter import training_job
from winnow.approximate.export import export_approximate
from winnow.approximate.multipliers import Multipliers
from winnow.approximate.training import aware_training
from winnow.check.feasibility import ensure_checked
from winnow.config.settings import CheckSettings, ModelSettings, QatSettings
from winnow.config.typed import built
from winnow.deploy.export import example_images, export_checked
from winnow.models.build import load_model
from winnow.prune.masks import load_masks
from winnow.quantize.diagnosis import warn_of_loss
from winnow.study.recipe import Recipe
from winnow.study.training import Training
from winnow.train.extras import teacher_of
from winnow.train.loop import train

snakemake: Snakemake

with job(snakemake) as label:
    files, results = snakemake.input, snakemake.output
    settings = QatSettings.of(snakemake.params.qat)
    data = open_dataset(snakemake)
    request = CheckSettings.of(snakemake.params.request)
    ensure_checked(files.checked, request, data, label, files.imported or None)
    network = ModelSettings.of(snakemake.params.model)
    masks = load_masks(files.masks) if files.masks else None
    model = load_model(network, data.task, files.weights)
    recipe = built(Recipe, snakemake.params.recipe)
    multipliers = Multipliers.by(recipe, files.multipliers or None)
    aware = aware_training(model, example_images(data), settings, recipe, masks, multipliers)
    teacher = teacher_of(settings.distill, network, data.task, files.teacher)
    optional = filter(None, (files.masks, files.teacher, files.multipliers, *files.tables))
    run = training_job(snakemake, label, [files.data, files.weights, *optional])
    record = train(replace(aware.trainee, teacher=teacher), data, settings.training, run)
    aware.check(label)
    warn_of_loss(aware, data, settings, label)
    baked_in = snakemake.params.baked_in
    export_checked(aware.float_model(), data, results.float, run=label, integer=False, baked_in=baked_in)
    export_approximate(aware.convert(), data, results.onnx, run=label, multipliers=multipliers, baked_in=baked_in)
    record.after(Training.read(files.record)).write(results.record)
