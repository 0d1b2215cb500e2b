"""The runtimes people ship on, each as a function from images to logits, and what they really execute."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from onnx import ModelProto
from torch import nn

from winnow.errors import WinnowError

Network = Callable[[np.ndarray], np.ndarray]
"""float32 [N, C, H, W] -> float32 logits [N, classes]."""

_FLOAT = {"Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"}
_INTEGER = {"QLinearConv", "QGemm", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"}
_INTEGER |= {"MatMulIntegerToFloat"}
_FUSED = re.compile(r"(_token_\d+|/.*)$")  # what fusions append to the name of a node
_REASON = 200  # characters
_LOADING = """
import json, sys, numpy, openvino
try:
    network = openvino.Core().compile_model(sys.argv[1], "CPU", json.loads(sys.argv[2]))
    shape = [size.get_length() if size.is_static else 2 for size in network.input(0).partial_shape]
    network({0: numpy.zeros(shape, numpy.float32)})
except RuntimeError as error:
    print(str(error))
    sys.exit(1)
"""


def load_onnxruntime(path: str | Path, threads: int) -> Network:
    """Load model.onnx in ONNX Runtime on the CPU, with all its graph optimizations."""
    session = _session(str(path), _session_options(threads), path)
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def load_openvino(path: str | Path, threads: int) -> Network:
    """Load model.onnx in OpenVINO on the CPU; what is not quantized is computed in fp32, not bf16."""
    compiled = _compiled(path, threads)
    request = compiled.create_infer_request()
    return lambda images: request.infer({0: images}, share_inputs=True)[0]


def load_torch(model: nn.Module, threads: int) -> Network:
    """Run a module eagerly, channels last."""
    model = model.eval().to(memory_format=torch.channels_last)

    def run(images: np.ndarray) -> np.ndarray:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            return model(torch.from_numpy(images).to(memory_format=torch.channels_last)).numpy()

    return run


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
        options = _session_options(threads=1)
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = _session(str(path), options, path)
        session.run(None, {session.get_inputs()[0].name: np.zeros((1, *shape), np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
    return [
        Layer(_FUSED.sub("", event["name"].removesuffix("_kernel_time")), operator)
        for event in events
        if event["name"].endswith("_kernel_time") and (operator := event["args"]["op_name"]) in _FLOAT | _INTEGER
    ]


def intermediate_values(model: ModelProto, names: Sequence[str], images: np.ndarray | None) -> dict[str, np.ndarray]:
    """Run a model in ONNX Runtime without graph optimizations, so that every value is there, and return some.

    Args:
        model: outputs are added to it.
        images: float32 [N, C, H, W]; None for a model without input.
    """
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in outputs)
    options = _session_options(threads=1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _session(model.SerializeToString(), options, "a graph with all its values")
    feed = {} if images is None else {session.get_inputs()[0].name: images}
    return dict(zip(names, session.run(list(names), feed), strict=True))


@dataclass(frozen=True)
class OpenVinoLayer:
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


def openvino_layers(path: str | Path) -> list[OpenVinoLayer]:
    """Return the convolutions and matrix products that OpenVINO executes, recurrent ones included, in their order."""
    kinds = {"Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNSeq", "RNNCell"}
    layers = []
    for operation in _compiled(path, threads=1).get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()
        if info["layerType"].astype(str) in kinds:
            names = info["originalLayersNames"].astype(str).split(",")
            names = tuple(dict.fromkeys(name.partition("/")[0] for name in names))
            factors = tuple(value.get_element_type().get_type_name() for value in operation.inputs()[:2])
            layers.append(OpenVinoLayer(names, factors))
    return layers


def openvino_failure(path: str | Path) -> str | None:
    """Return in a line why OpenVINO does not load and run a file; None if it does.

    Tried in a process of its own, for on some graphs OpenVINO crashes.
    """
    command = [sys.executable, "-c", _LOADING, str(path), json.dumps(_openvino_settings(threads=1))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"crashes ({signal.Signals(-done.returncode).name})"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1][:_REASON] if lines else f"ends with code {done.returncode}"


def _session_options(threads: int) -> onnxruntime.SessionOptions:
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


@cache
def _core() -> openvino.Core:
    """Return the one of this process.

    Each CPU plugin replaces the process's signal stack and puts the last one back when it ends; plugins that end in
    another order than they began leave a freed one behind, on which the next signal crashes the process.
    """
    return openvino.Core()


def _openvino_settings(threads: int) -> dict[str, str | int]:
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }


def _compiled(path: str | Path, threads: int) -> openvino.CompiledModel:
    try:
        return _core().compile_model(str(path), "CPU", _openvino_settings(threads))
    except RuntimeError as error:
        raise WinnowError(f"{path}: OpenVINO cannot load it ({str(error).splitlines()[0]})") from error
