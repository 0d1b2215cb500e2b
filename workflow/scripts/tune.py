"""tune: imported weights -> those of the study, trained for as many epochs as are asked for, history."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from training_adapter import training_job
from winnow.config.settings import ModelSettings, TrainingSettings
from winnow.models.build import blank_image, build_model
from winnow.models.imported import load_imported
from winnow.models.weights import save_weights
from winnow.study.training import Training
from winnow.train.loop import train
from winnow.train.tuning import tuned

snakemake: Snakemake

with job(snakemake) as label:
    files, seed = snakemake.input, int(snakemake.wildcards.seed)
    settings = TrainingSettings.of(snakemake.params.training)
    data = open_dataset(snakemake)
    model = build_model(ModelSettings.of(snakemake.params.model), data.task, seed=seed)
    load_imported(files.imported, model)
    trainee = tuned(model, settings, blank_image(data.task), label)
    record = train(trainee, data, settings, training_job(snakemake, label, [files.data, files.imported]))
    save_weights(snakemake.output.weights, model)
    record.after(Training.of_import()).write(snakemake.output.record)
