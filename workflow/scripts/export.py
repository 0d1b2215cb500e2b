"""export: trained weights -> fp32 model.onnx, checked against the network in memory and the masks it was pruned by."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.config.settings import ModelSettings
from winnow.deploy.export import export_checked
from winnow.models.build import load_model
from winnow.prune.exported_zeros import check_exported_zeros
from winnow.prune.masks import load_masks

snakemake: Snakemake

with job(snakemake) as run:
    data = open_dataset(snakemake)
    model = load_model(ModelSettings.of(snakemake.params.model), data.task, snakemake.input.weights)
    export_checked(model, data, snakemake.output.onnx, run=run, integer=False, baked_in=snakemake.params.baked_in)
    if snakemake.input.masks:
        check_exported_zeros(snakemake.output.onnx, load_masks(snakemake.input.masks), run)
