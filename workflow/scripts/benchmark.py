"""benchmark: model.onnx -> speed.json, with no other job of Winnow beside it, of whatever study."""

from adapter import Snakemake, identity, job
from winnow.config.settings import BenchmarkSettings, ModelSettings
from winnow.deploy.graphs import read_task
from winnow.deploy.runtimes import Trained
from winnow.measure.speed import benchmark
from winnow.study.vocabulary import FP32

snakemake: Snakemake

with job(snakemake, alone=True):
    task = read_task(snakemake.input.onnx)
    trained, precision = None, snakemake.params.precision
    if precision == FP32:
        trained = Trained(ModelSettings.of(snakemake.params.model), task, snakemake.input.weights)
    settings = BenchmarkSettings.of(snakemake.params.benchmark)
    speed = benchmark(snakemake.input.onnx, trained, task.shape, settings, identity(snakemake, precision))
    speed.write(snakemake.output.speed)
