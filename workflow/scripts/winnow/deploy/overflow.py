"""Where int8 can go wrong on x86 processors without VNNI: their fast kernels add two products in 16 bits and saturate.

`vpmaddubsw` multiplies uint8 activations by int8 weights and adds neighbouring products in 16 bits with saturation
(Intel, Optimization Reference Manual; oneDNN, "Nuances of int8 computations"). Products of weights of different signs
cancel, so a sum is too large only if two weights of one sign are. Which weights are neighbours depends on the layout
of a kernel and is no promise of any runtime: any two of one output channel count as such.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto
from onnx.helper import get_node_attr_value
from onnx.numpy_helper import to_array

from winnow.deploy.graphs import Graph, base_name, read_model
from winnow.deploy.operations import layer_name
from winnow.study.saturation import SaturatingLayer

LARGEST_SUM = 2**15 - 1
"""Of two products that are added in 16 bits."""
_LARGEST_CODE = 255  # of an activation
_OUTPUT_LAST = ("MatMul", "MatMulInteger")
_LAYERS = ("Conv", "ConvInteger", "Gemm", *_OUTPUT_LAST)
# What selects or moves codes leaves the largest one as it is.
_PASSING = {"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Pad", "Relu", "Split"}


def largest_pairs(weights: np.ndarray) -> np.ndarray:
    """Return for each output channel the largest magnitude of a sum of two of its weights of one sign.

    Args:
        weights: [out, ...], integers or real numbers.

    Returns:
        [out], int64 or float64.
    """
    rows = weights.reshape(len(weights), -1)
    rows = rows.astype(np.int64 if np.issubdtype(rows.dtype, np.integer) else np.float64)
    count = min(2, rows.shape[1])
    above, below = (np.sort(np.maximum(side, 0), axis=1)[:, -count:].sum(1) for side in (rows, -rows))
    largest: np.ndarray = np.maximum(above, below)
    return largest


def saturating_layers(path: str | Path) -> tuple[SaturatingLayer, ...]:
    """Return the layers of a quantized model.onnx that may saturate without VNNI, in the order of the graph.

    Computed from the weights and the largest code that an activation can have; float layers never do.
    """
    graph = Graph(read_model(path).graph)
    uses: Counter[str] = Counter()
    found = []
    for node in graph.nodes:
        if node.op_type not in _LAYERS or (constant := graph.constant(node.input[1])) is None:
            continue
        base = base_name(constant.name)
        uses[base] += 1
        weights = _weights(graph, node)
        if weights is None:
            continue
        sums = largest_pairs(weights) * _largest_code(graph, node.input[0])
        if sums.max(initial=0) > LARGEST_SUM:
            channels = int((sums > LARGEST_SUM).sum())
            found.append(SaturatingLayer(layer_name(base, uses[base]), channels, len(sums), int(sums.max())))
    return tuple(found)


def _weights(graph: Graph, node: NodeProto) -> np.ndarray | None:
    """Return the int8 weights of a layer, [out, ...]; None if they are none.

    Weights that are uint8 are multiplied by other kernels, which widen first.
    """
    weights = _codes(graph, node.input[1])
    if weights is None or weights.dtype != np.int8:
        return None
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transB" for attribute in node.attribute)
        return weights if transposed and get_node_attr_value(node, "transB") else weights.T
    return np.moveaxis(weights, -1, 0) if node.op_type in _OUTPUT_LAST else weights


def _codes(graph: Graph, value: str) -> np.ndarray | None:
    """Return the integers of a constant, in the order of dimensions in which a layer reads them."""
    if value in graph.initializers:
        return to_array(graph.initializers[value])
    node = graph.producer(value)
    if node is None or node.op_type not in ("DequantizeLinear", "Transpose", "Identity"):
        return None
    codes = _codes(graph, node.input[0])
    if codes is None or node.op_type != "Transpose":
        return codes
    return codes.transpose(_permutation(node))


def _permutation(node: NodeProto) -> Sequence[int] | None:
    given = any(attribute.name == "perm" for attribute in node.attribute)
    return tuple(get_node_attr_value(node, "perm")) if given else None


def _largest_code(graph: Graph, value: str) -> int:
    """Return the largest code that a rounded value can have: that to which it is clipped, else that of uint8."""
    node, scale = graph.producer(value), None
    while node is not None:
        if node.op_type == "Clip" and scale is not None and len(node.input) > 2 and node.input[2]:
            bound = graph.constant(node.input[2])
            return int(to_array(bound)) if bound is not None else _LARGEST_CODE
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            steps = _steps(graph, node)
            if steps is None or (scale is not None and steps != scale):
                return _LARGEST_CODE
            scale = steps
        elif node.op_type not in _PASSING:
            return _LARGEST_CODE
        node = graph.producer(node.input[0])
    return _LARGEST_CODE


def _steps(graph: Graph, node: NodeProto) -> tuple[float, ...] | None:
    """Return scale and zero point of a rounding per tensor."""
    constants = [graph.constant(name) for name in node.input[1:3]]
    values = [to_array(constant) for constant in constants if constant is not None]
    return tuple(float(value) for value in values) if all(value.size == 1 for value in values) else None
