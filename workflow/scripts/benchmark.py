"""benchmark: model.onnx -> speed.json, with no other job beside it."""

from functools import partial

from adapter import identity, job
from winnow.config.settings import BenchmarkSettings, ModelSettings
from winnow.data.dataset import load_dataset
from winnow.files import write_json
from winnow.measure.speed import benchmark
from winnow.models.build import load_model

with job(snakemake):
    data = load_dataset(snakemake.input.data)
    eager = None
    if snakemake.wildcards.precision == "fp32":
        eager = partial(load_model, ModelSettings.of(snakemake.params.model), data, snakemake.input.weights)
    shape = (data.channels, data.size, data.size)
    speed = benchmark(snakemake.input.onnx, eager, shape, BenchmarkSettings.of(snakemake.params.benchmark))
    write_json(snakemake.output.speed, identity(snakemake) | speed)
