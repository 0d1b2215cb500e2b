"""ONNX Runtime on the CPU: how it loads a file, and what of it runs on integers."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto

from winnow.deploy.inputs import read_input
from winnow.deploy.runtimes import WARMING, Kernel, Network, calls
from winnow.errors import WinnowError

_FLOAT = {"Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"}
_INTEGER = {"QLinearConv", "QGemm", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"}
_INTEGER |= {"MatMulIntegerToFloat"}
_ONLY_FP32 = "it computes a float file in fp32 only"
_FUSED = re.compile(r"(_token_\d+|_nchwc|/.*)$")  # what fusions append to the name of a node, or of its output


def load(path: str | Path, threads: int, hint: str = "") -> Network:
    """Load model.onnx with all graph optimizations."""
    if hint:
        raise WinnowError(f"{path}: ONNX Runtime cannot be told to use {hint}: {_ONLY_FP32}")
    session = _session(str(path), _options(threads), path)
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def failure(path: str | Path, hint: str = "") -> str | None:
    """Return in a line why it does not load a file; None if it does."""
    if hint:
        return _ONLY_FP32
    try:
        _session(str(path), _options(threads=1), path)
    except WinnowError as error:
        return str(error)
    return None


def integer_layers(path: str | Path, shape: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the names of the nodes that run on integers."""
    return [(layer.name,) for layer in executed_layers(path, shape) if layer.integer]


@dataclass(frozen=True)
class Layer:
    """A convolution, matrix product or the like as executed: the node of the file it comes from, and its kernel."""

    name: str
    operator: str

    @property
    def integer(self) -> bool:
        return self.operator in _INTEGER


def executed_layers(path: str | Path, shape: Sequence[int], *, optimize: bool = True) -> list[Layer]:
    """Return the convolutions and matrix products that ONNX Runtime executes for one image, in their order.

    The runtime's own profile says which kernels ran, so that nothing counts as quantized that was fused back
    into floating point. How much they multiply is counted in `operations`.

    Args:
        shape: (C, H, W).
        optimize: as the runtime does it; else as the file has them.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = _options(threads=1)
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = _session(str(path), options, path)
        session.run(None, {session.get_inputs()[0].name: np.zeros((1, *shape), read_input(path).type)})
        events = json.loads(Path(session.end_profiling()).read_text())
    return [
        Layer(_FUSED.sub("", event["name"].removesuffix("_kernel_time")), operator)
        for event in events
        if event["name"].endswith("_kernel_time") and (operator := event["args"]["op_name"]) in _FLOAT | _INTEGER
    ]


def kernels(path: str | Path, images: np.ndarray, threads: int, seconds: float) -> list[Kernel]:
    """Return all that ONNX Runtime executes of a file, timed by its own profile, in batches for so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        options = _options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = _session(str(path), options, path)
        feed = {session.get_inputs()[0].name: images}
        for _ in calls(seconds):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = {}
    for event in events:
        if event["name"].endswith("_kernel_time"):
            times.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event["dur"] / 1000)
    return [Kernel((name, _FUSED.sub("", name)), median(found[WARMING:])) for name, found in times.items()]


def intermediate_values(model: ModelProto, names: Sequence[str], images: np.ndarray | None) -> dict[str, np.ndarray]:
    """Run a model in ONNX Runtime without graph optimizations, so that every value is there, and return some.

    Args:
        model: outputs are added to it.
        images: as the model takes them, [N, C, H, W]; None for one without input.
    """
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in outputs)
    options = _options(threads=1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _session(model.SerializeToString(), options, "a graph with all its values")
    feed = {} if images is None else {session.get_inputs()[0].name: images}
    return dict(zip(names, session.run(list(names), feed), strict=True))


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _session(model: str | bytes, options: onnxruntime.SessionOptions, name: str | Path) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this
        raise WinnowError(f"{name}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from error
