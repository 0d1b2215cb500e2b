"""The runtimes people ship on, each as a function from images to logits, and what they really execute."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from torch import nn

from winnow.errors import WinnowError

Network = Callable[[np.ndarray], np.ndarray]
"""float32 [N, C, H, W] -> float32 logits [N, classes]."""

_WEIGHTED = {"Conv", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"}
_INTEGER = {"QLinearConv", "QGemm", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"}
_INTEGER |= {"MatMulIntegerToFloat"}


def load_onnxruntime(path: str | Path, threads: int) -> Network:
    """Load model.onnx in ONNX Runtime on the CPU, with all its graph optimizations."""
    session = _session(path, _session_options(threads))
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
    """A convolution or linear as executed: its weights, those that are not zero, and its multiply-accumulates
    for one image, with all weights and with those that are not zero."""

    name: str
    operator: str
    parameters: int
    macs: int
    nonzero: int
    nonzero_macs: int

    @property
    def integer(self) -> bool:
        return self.operator in _INTEGER


def executed_layers(path: str | Path, shape: Sequence[int], *, optimize: bool = True) -> list[Layer]:
    """Return the convolutions and linears that ONNX Runtime executes for one image, in their order.

    The runtime's own profile says which kernels ran, so that nothing counts as quantized that was fused back
    into floating point.

    Args:
        shape: (C, H, W).
        optimize: as the runtime does it; without, weights have the network's own shapes (the optimizer pads
            those of fp32 convolutions to its vector length).
    """
    with tempfile.TemporaryDirectory() as folder:
        options = _session_options(threads=1)
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        session = _session(path, options)
        session.run(None, {session.get_inputs()[0].name: np.zeros((1, *shape), np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
        graph = onnx.load(f"{folder}/optimized.onnx").graph
    constants = {constant.name: constant for constant in graph.initializer}
    nodes = {node.name: node for node in graph.node}
    layers = []
    for event in events:
        operator = event.get("args", {}).get("op_name")
        if not event["name"].endswith("_kernel_time") or operator not in _WEIGHTED | _INTEGER:
            continue
        node = nodes[event["name"].removesuffix("_kernel_time")]
        weights = [constants[name] for name in node.input if name in constants and len(constants[name].dims) >= 2]
        if not weights:
            continue  # a product of two activations
        weight, (output,) = max(weights, key=lambda w: prod(w.dims)), event["args"]["output_type_shape"][0].values()
        channels = weight.dims[0] if "Conv" in operator else output[-1]
        size, nonzero = prod(weight.dims), int(np.count_nonzero(onnx.numpy_helper.to_array(weight)))
        uses = prod(output) // channels  # how often each weight is multiplied
        layers.append(Layer(node.name, operator, size, size * uses, nonzero, nonzero * uses))
    return layers


def openvino_precisions(path: str | Path) -> Counter[str]:
    """Count the convolutions and linears that OpenVINO executes, by precision (`u8`, `i8`, `f32`, ...)."""
    kinds = {"Convolution", "FullyConnected", "MatMul"}
    counts: Counter[str] = Counter()
    for operation in _compiled(path, threads=1).get_runtime_model().get_ops():
        info = operation.get_rt_info()
        if info["layerType"].astype(str) in kinds:
            counts[info["runtimePrecision"].astype(str)] += 1
    return counts


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _session(path: str | Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this
        raise WinnowError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from error


@cache
def _core() -> openvino.Core:
    """Return the one of this process.

    Each CPU plugin replaces the process's signal stack and puts the last one back when it ends; plugins that end in
    another order than they began leave a freed one behind, on which the next signal crashes the process.
    """
    return openvino.Core()


def _compiled(path: str | Path, threads: int) -> openvino.CompiledModel:
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    try:
        return _core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise WinnowError(f"{path}: OpenVINO cannot load it ({str(error).splitlines()[0]})") from error
