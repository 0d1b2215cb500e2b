"""export: trained weights -> fp32 model.onnx, checked against the network in memory and the masks it was pruned by."""

from adapter import job
from winnow.data import load_dataset
from winnow.export import export_checked
from winnow.exported_zeros import check_exported_zeros
from winnow.masks import load_masks
from winnow.models import load_model
from winnow.settings import ModelSettings

with job(snakemake) as run:
    data = load_dataset(snakemake.input.data)
    model = load_model(ModelSettings.of(snakemake.params.model), data, snakemake.input.weights)
    export_checked(model, data, snakemake.output.onnx, run=run, integer=False)
    if snakemake.input.masks:
        check_exported_zeros(snakemake.output.onnx, load_masks(snakemake.input.masks), run)
