"""prepare_dataset: a source of images -> one safetensors file."""

from adapter import Snakemake, job
from winnow.config.settings import DatasetSettings
from winnow.data.dataset import save_dataset
from winnow.data.prepare import prepare

snakemake: Snakemake

with job(snakemake):
    dataset = prepare(DatasetSettings.of(snakemake.params.dataset))
    save_dataset(snakemake.output.data, dataset, snakemake.params.definition)
