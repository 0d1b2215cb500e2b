"""import_network: weights of another program -> the same by the names of the network, checked to fit it."""

from adapter import Snakemake, job
from winnow.config.settings import ImportSettings, ModelSettings
from winnow.data.dataset import read_fitting
from winnow.data.prepared import read_task
from winnow.models.imported import import_weights, remark_on_images

snakemake: Snakemake

with job(snakemake):
    task, fitting = read_task(snakemake.input.data), read_fitting(snakemake.input.data)
    settings, network = ImportSettings.of(snakemake.params.settings), ModelSettings.of(snakemake.params.model)
    import_weights(snakemake.output.weights, settings, network, task)
    remark_on_images(settings, fitting)
