"""retrain: a pruned network at the weights to train from -> trained weights, with every pruned weight still zero."""

from pathlib import Path

from adapter import beside, job, parameters
from winnow.config.settings import ModelSettings, RetrainingSettings
from winnow.data.dataset import load_dataset
from winnow.models.build import load_model
from winnow.models.narrowing import cut_metadata, read_cut
from winnow.models.weights import save_weights
from winnow.prune.masks import load_masks
from winnow.study.training import Training
from winnow.train.loop import Trainee, train
from winnow.train.resume import resume_file

with job(snakemake) as run:
    files = snakemake.input
    settings = RetrainingSettings.of(snakemake.params.retraining)
    seed = int(snakemake.wildcards.seed)
    data = load_dataset(files.data)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, files.start)
    masks = load_masks(files.masks)
    resume = resume_file(
        beside(snakemake.output.weights, "weights.resume"),
        parameters(snakemake),
        [files.data, files.start, files.masks],
        seed,
    )
    record = train(
        Trainee(model, after_step=masks.enforcer(model)),
        data,
        settings.training,
        run=run,
        seed=seed,
        resume=resume,
        history=Path(snakemake.output.history),
        snapshots={},
        tdp_watts=snakemake.params.tdp_watts,
        first_epoch=settings.first_epoch,
    )
    masks.check(model, run)
    save_weights(snakemake.output.weights, model, cut_metadata(read_cut(files.start)))
    ancestor = Training.read(files.record) if files.record else None
    record.after(ancestor).write(snakemake.output.record)
    resume.discard()
