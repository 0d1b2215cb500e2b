"""train: freshly initialized network -> trained weights, history, rewind points."""

from pathlib import Path

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from training_adapter import training_job
from winnow.config.settings import ModelSettings, TrainingSettings
from winnow.models.build import build_model, check_same_again
from winnow.models.weights import save_weights
from winnow.train.loop import Trainee, train

snakemake: Snakemake

with job(snakemake) as label:
    files, seed = snakemake.output, int(snakemake.wildcards.seed)
    settings = TrainingSettings.of(snakemake.params.training)
    network = ModelSettings.of(snakemake.params.model)
    data = open_dataset(snakemake)
    model = build_model(network, data.task, seed=seed)
    check_same_again(model, network, data.task, seed=seed)
    snapshots = dict(zip((0, *settings.rewind_epochs), map(Path, files.snapshots), strict=True))
    run = training_job(snakemake, label, [snakemake.input.data], snapshots)
    record = train(Trainee(model), data, settings, run)
    save_weights(files.weights, model)
    record.write(files.record)
