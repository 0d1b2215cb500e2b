"""prepare_dataset: a source of images -> one safetensors file."""

from adapter import Snakemake, job, parameters
from winnow.config.settings import DatasetSettings
from winnow.data.prepare import prepare
from winnow.files import digest

snakemake: Snakemake

with job(snakemake):
    settings, key = DatasetSettings.of(snakemake.params.dataset), digest(parameters(snakemake))
    prepare(settings, snakemake.output.data, snakemake.params.definition, key=key, threads=snakemake.threads)
