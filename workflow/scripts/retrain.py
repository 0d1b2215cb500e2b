"""retrain: a pruned network at the weights to train from -> trained weights, with every pruned weight still zero."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from training_adapter import training_job
from winnow.config.settings import ModelSettings, RetrainingSettings
from winnow.models.build import load_model
from winnow.models.narrowing import cut_metadata, read_cut
from winnow.models.weights import save_weights
from winnow.prune.masks import load_masks
from winnow.study.training import Training
from winnow.train.extras import teacher_of
from winnow.train.loop import Trainee, train

snakemake: Snakemake

with job(snakemake) as label:
    files = snakemake.input
    settings = RetrainingSettings.of(snakemake.params.retraining)
    data = open_dataset(snakemake)
    network = ModelSettings.of(snakemake.params.model)
    model = load_model(network, data.task, files.start)
    masks = load_masks(files.masks)
    teacher = teacher_of(settings.distill, network, data.task, files.teacher)
    inputs = [files.data, files.start, files.masks, *([files.teacher] if teacher else [])]
    run = training_job(snakemake, label, inputs, first_epoch=settings.first_epoch)
    trainee = Trainee(model, after_step=masks.enforcer(model), teacher=teacher)
    record = train(trainee, data, settings.training, run)
    masks.check(model, label)
    save_weights(snakemake.output.weights, model, cut_metadata(read_cut(files.start)))
    ancestor = Training.read(files.record) if files.record else None
    record.after(ancestor).write(snakemake.output.record)
