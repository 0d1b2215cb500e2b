"""time_layers: model.onnx -> layer_times.json, with no other job of Winnow beside it, of whatever study."""

from adapter import Snakemake, identity, job
from winnow.deploy.graphs import read_task
from winnow.measure.layer_times import time_layers

snakemake: Snakemake

with job(snakemake, alone=True):
    path, timed = snakemake.input.onnx, snakemake.params.timed
    found = time_layers(path, read_task(path).shape, **timed, identity=identity(snakemake, snakemake.params.precision))
    found.write(snakemake.output.times)
