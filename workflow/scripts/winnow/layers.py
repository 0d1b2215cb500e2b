"""Signal and noise layer by layer, between a model.onnx and the fp32 file it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto

from winnow.errors import WinnowError
from winnow.metrics import sqnr_db

_WEIGHTED = {"Conv", "Gemm", "MatMul"}
_CLIPPING = {"Relu", "Clip"}
_ROUNDING = {"QuantizeLinear", "DequantizeLinear"}


def layer_sqnr(source: str | Path, quantized: str | Path, images: np.ndarray) -> list[dict[str, Any]]:
    """Compare the output of every convolution and linear, its ReLU and its rounding included.

    Both files run in ONNX Runtime without graph optimizations, so that every intermediate value is there.

    Args:
        source: fp32 model.onnx.
        quantized: made from it (dynamic) or with the same layers in the same order (ptq, qat).
        images: float32 [N, C, H, W].

    Returns:
        [{"layer", "sqnr_db"}] in the order of the network; the value is None for an exact layer.

    Raises:
        WinnowError: the two files do not have the same layers.
    """
    reference, other = onnx.load(source), onnx.load(quantized)
    layers = _weighted(reference.graph)
    expected = [_after(reference.graph, node.output[0], _CLIPPING) for node in layers]
    produced = {name for node in other.graph.node for name in node.output}
    if all(node.output[0] in produced for node in layers) and not _weighted(other.graph):
        found = [_after(other.graph, node.output[0], _CLIPPING) for node in layers]  # dynamic keeps the names
    else:
        found = [_after(other.graph, node.output[0], _CLIPPING | _ROUNDING) for node in _weighted(other.graph)]
    if len(found) != len(expected):
        raise WinnowError(f"{quantized}: has {len(found)} convolutions and linears, {source} has {len(expected)}")
    values, others = _run(reference, expected, images), _run(other, found, images)
    names = [node.input[1].removesuffix(".weight") for node in layers]
    return [
        {"layer": name, "sqnr_db": sqnr_db(value, other)}
        for name, value, other in zip(names, values, others, strict=True)
    ]


def _weighted(graph: GraphProto) -> list[NodeProto]:
    """Return the nodes that multiply by a constant, directly or through its dequantization."""
    constants = {constant.name for constant in graph.initializer}
    constants |= {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants}
    return [n for n in graph.node if n.op_type in _WEIGHTED and n.input[1] in constants]


def _after(graph: GraphProto, name: str, operators: set[str]) -> str:
    """Follow a value through operators of these kinds for as long as it has one reader."""
    while True:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in operators:
            return name
        name = readers[0].output[0]


def _run(model: ModelProto, names: list[str], images: np.ndarray) -> list[np.ndarray]:
    declared = {value.name for value in model.graph.output}
    for name in dict.fromkeys(names):
        if name not in declared:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(names, {session.get_inputs()[0].name: images})
