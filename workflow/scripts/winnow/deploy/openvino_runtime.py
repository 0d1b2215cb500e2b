"""OpenVINO on the CPU: how it loads a file, and what of it runs on integers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import openvino

from winnow.deploy.runtimes import WARMING, Kernel, Network, calls
from winnow.errors import WinnowError
from winnow.study.vocabulary import FP32_HINT

_REASON = 200  # characters
_CAPABILITIES = {"bf16": "BF16", "f16": "FP16"}
"""What OpenVINO says that a processor has instructions for, by the hint that asks for it."""
_NUMBERS = ("FP32", *_CAPABILITIES.values(), "INT8")
_LOADING = """
import json, sys, numpy, openvino
try:
    network = openvino.Core().compile_model(sys.argv[1], "CPU", json.loads(sys.argv[2]))
    shape = [size.get_length() if size.is_static else 2 for size in network.input(0).partial_shape]
    network({0: numpy.zeros(shape, network.input(0).get_element_type().to_dtype())})
    print(network.get_property("INFERENCE_PRECISION_HINT").get_type_name())
except RuntimeError as error:
    print(str(error))
    sys.exit(1)
"""


def load(path: str | Path, threads: int, hint: str = "") -> Network:
    """Load a file; left to itself, OpenVINO computes what is not quantized in bf16 where the processor has it."""
    request = _compiled(path, threads, hint).create_infer_request()
    return lambda images: request.infer({0: images}, share_inputs=True)[0]


def failure(path: str | Path, hint: str = "") -> str | None:
    """Return in a line why it does not load and run a file, or not in the precision of the hint; None if it does.

    Tried in a process of its own, for on some graphs OpenVINO crashes. Of a precision that the processor lacks it takes
    another one without a word, or emulates it.
    """
    if hint and (reason := _lacking(hint)):
        return reason
    command = [sys.executable, "-c", _LOADING, str(path), json.dumps(_openvino_settings(1, hint))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        used = done.stdout.split()[-1]
        return f"not measured here: OpenVINO computes it in {used} instead" if hint and used != hint else None
    if done.returncode < 0:
        return f"crashes ({signal.Signals(-done.returncode).name})"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1][:_REASON] if lines else f"ends with code {done.returncode}"


def integer_layers(path: str | Path, shape: Sequence[int]) -> list[tuple[str, ...]]:  # noqa: ARG001
    """Return the names of the nodes that run on integers; the shape of an image is known from the file."""
    return [layer.names for layer in executed_layers(path) if layer.integer]


def kernels(path: str | Path, images: np.ndarray, threads: int, seconds: float) -> list[Kernel]:
    """Return all that OpenVINO executes of a file, timed by its own profile, in batches for so many seconds."""
    compiled = _compiled(path, threads, profiled=True)
    request, times = compiled.create_infer_request(), dict[str, list[float]]()
    for _ in calls(seconds):
        request.infer({0: images}, share_inputs=True)
        for found in request.get_profiling_info():
            times.setdefault(found.node_name, []).append(found.real_time.total_seconds() * 1000)
    operations = compiled.get_runtime_model().get_ordered_ops()
    made_of = {operation.get_friendly_name(): _made_of(operation.get_rt_info()) for operation in operations}
    return [Kernel(made_of.get(name, (name,)), median(found[WARMING:])) for name, found in times.items()]


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product as OpenVINO executes it.

    Attributes:
        names: of the nodes of the file that it was made of; OpenVINO renames some.
        factors: the types of what it multiplies: `u8`, `i8`, `f32`, ... What OpenVINO calls its precision is that of
            the weights, also where they are turned into float to be multiplied.
    """

    names: tuple[str, ...]
    factors: tuple[str, ...]

    @property
    def integer(self) -> bool:
        return set(self.factors) <= {"u8", "i8"}


def executed_layers(path: str | Path) -> list[Layer]:
    """Return the convolutions and matrix products that OpenVINO executes, recurrent ones included, in their order."""
    kinds = {"Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNSeq", "RNNCell"}
    layers = []
    for operation in _compiled(path, threads=1).get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()
        if info["layerType"].astype(str) in kinds:
            factors = tuple(value.get_element_type().get_type_name() for value in operation.inputs()[:2])
            layers.append(Layer(_made_of(info), factors))
    return layers


def _made_of(info: Mapping[str, openvino.OVAny]) -> tuple[str, ...]:
    """Return the names of the nodes of the file that OpenVINO made one operator of."""
    names = info["originalLayersNames"].astype(str).split(",")
    return tuple(dict.fromkeys(name.partition("/")[0] for name in names))


@cache
def _core() -> openvino.Core:
    """Return the one of this process.

    Each CPU plugin replaces the process's signal stack and puts the last one back when it ends; plugins that end in
    another order than they began leave a freed one behind, on which the next signal crashes the process.
    """
    return openvino.Core()


def _lacking(hint: str) -> str | None:
    """Return in a line that this processor has no instructions for a precision; None if it has."""
    known = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if _CAPABILITIES[hint] in known:
        return None
    name = _core().get_property("CPU", "FULL_DEVICE_NAME").strip()
    found = ", ".join(numbers for numbers in _NUMBERS if numbers in known)
    return f"not measured here: {name} has no {_CAPABILITIES[hint].lower()} (OpenVINO finds {found})"


def _openvino_settings(threads: int, hint: str = "") -> dict[str, str | int]:
    return {
        "INFERENCE_PRECISION_HINT": hint or FP32_HINT,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }


def _compiled(path: str | Path, threads: int, hint: str = "", *, profiled: bool = False) -> openvino.CompiledModel:
    settings = _openvino_settings(threads, hint) | {"PERF_COUNT": "YES" if profiled else "NO"}
    try:
        return _core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise WinnowError(f"{path}: OpenVINO cannot load it ({str(error).splitlines()[0]})") from error
