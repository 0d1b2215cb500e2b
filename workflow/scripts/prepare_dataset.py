"""prepare_dataset: a source of images -> one safetensors file."""

from adapter import job
from winnow.data import prepare, save_dataset
from winnow.settings import DatasetSettings

with job(snakemake):
    dataset = prepare(DatasetSettings.of(snakemake.params.dataset))
    save_dataset(snakemake.output.data, dataset, snakemake.params.definition)
