"""What of a batch's time each layer takes, by the profile of a runtime."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from winnow.deploy.coverage import names_of_nodes
from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.inputs import read_input
from winnow.deploy.operations import count_operations
from winnow.deploy.runtimes import failures, shipping
from winnow.measure.machine import machine
from winnow.measure.neighbours import Neighbours
from winnow.study.identity import Identity
from winnow.study.layer_times import LayerTimes


def time_layers(
    path: str | Path,
    shape: tuple[int, int, int],
    runtime: str,
    batch_size: int,
    threads: int,
    seconds: float,
    identity: Identity,
) -> LayerTimes:
    """Profile a model.onnx; nothing is known of one that the runtime does not run.

    Args:
        shape: (C, H, W).
        runtime: the name of one that ships.
        seconds: of calls.
    """
    operations = count_operations(path, shape)
    layers = {operation.node: operation.layer for operation in operations}
    known = names_of_nodes(Graph(read_model(path).graph), operations)
    images = read_input(path).noise((batch_size, *shape), np.random.default_rng(0))
    reason = failures(path, [runtime]).get(runtime)
    neighbours = Neighbours()
    kernels = [] if reason else shipping(runtime).kernels(path, images, threads, seconds)
    load, rest = neighbours.busy_cores(), 0.0
    times: dict[str, float] = {}  # without what no kernel names: it is not known
    for kernel in kernels:
        node = next((known[name] for name in kernel.names if name in known), None)
        if node is None:
            rest += kernel.ms
        else:
            times[layers[node]] = times.get(layers[node], 0.0) + kernel.ms
    return LayerTimes(
        **asdict(identity),
        runtime=runtime,
        batch_size=batch_size,
        threads=threads,
        layers=times,
        rest_ms=rest,
        untimed=reason,
        other_load=load,
        machine=machine(),
    )
