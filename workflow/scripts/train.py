"""train: freshly initialized network -> trained weights, history, rewind points."""

from pathlib import Path

from adapter import beside, job, parameters
from winnow.config.settings import ModelSettings, TrainingSettings
from winnow.data.dataset import load_dataset
from winnow.models.build import build_model, check_same_again
from winnow.models.weights import save_weights
from winnow.train.loop import Trainee, train
from winnow.train.resume import resume_file

with job(snakemake) as run:
    settings = TrainingSettings.of(snakemake.params.training)
    seed = int(snakemake.wildcards.seed)
    data = load_dataset(snakemake.input.data)
    network = ModelSettings.of(snakemake.params.model)
    model = build_model(network, data.task, seed=seed)
    check_same_again(model, network, data.task, seed=seed)
    resume = resume_file(
        beside(snakemake.output.weights, "weights.resume"), parameters(snakemake), [snakemake.input.data], seed
    )
    epochs = (0, *settings.rewind_epochs)
    record = train(
        Trainee(model),
        data,
        settings,
        run=run,
        seed=seed,
        resume=resume,
        history=Path(snakemake.output.history),
        snapshots=dict(zip(epochs, map(Path, snakemake.output.snapshots), strict=True)),
        tdp_watts=snakemake.params.tdp_watts,
    )
    save_weights(snakemake.output.weights, model)
    record.write(snakemake.output.record)
    resume.discard()
