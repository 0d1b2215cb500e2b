"""Multiply-accumulates and weights, counted in an exported graph: what there is to quantize, whatever was quantized.

Counted are convolutions, matrix products, recurrent layers and attention, in float and on integers, each for one image
and with padding taken as multiplied. Elementwise products, normalization, pooling and interpolation are not, as usual.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto
from onnx.helper import get_node_attr_value
from onnx.numpy_helper import to_array

from winnow.deploy.graphs import Graph, base_name, every_node, is_named, read_model
from winnow.deploy.inputs import input_of
from winnow.deploy.onnx_runtime import intermediate_values
from winnow.errors import WinnowError

Shape = tuple[int, ...]
ACTIVATIONS, COMPUTED = "a product of two activations", "computed weights"


@dataclass(frozen=True)
class Operation:
    """One operator with multiply-accumulates.

    Attributes:
        layer: the module path of the layer whose weights it reads, or the name of the node.
        node, operator: its name and kind in the graph.
        macs, nonzero_macs: multiply-accumulates for one image, and those with a weight that is not zero.
        unweighted: None for a layer with constant weights, else `ACTIVATIONS` or `COMPUTED`.
    """

    layer: str
    node: str
    operator: str
    macs: int
    nonzero_macs: int
    unweighted: str | None


@dataclass(frozen=True)
class Weights:
    """How many weights a file stores, and how many of them as integers."""

    total: int
    integer: int


def count_operations(path: str | Path, shape: Sequence[int]) -> list[Operation]:
    """Return every operator with multiply-accumulates, in the order of the graph.

    Args:
        shape: (C, H, W) of one image.

    Raises:
        WinnowError: one lies in the body of a loop or branch, so that it is not known how often it runs.
    """
    model = read_model(path)
    graph = Graph(model.graph)
    nodes = [node for node in graph.nodes if node.op_type in _MACS]
    if len(nodes) < sum(node.op_type in _MACS for node in every_node(model)):
        raise WinnowError(
            f"{path}: has convolutions or matrix products in the body of a loop or branch, whose "
            "multiply-accumulates cannot be counted; unroll it"
        )
    shapes = _shapes(model, graph, nodes, shape)
    uses: Counter[str] = Counter()
    operations = []
    for node in nodes:
        weights = weights_of(graph, node)
        macs = _MACS[node.op_type](node, [shapes[name] for name in node.input], shapes[node.output[0]])
        name = node.name.removeprefix("node_")
        if weights and is_named(weights[0].name):
            base = base_name(weights[0].name)
            uses[base] += 1
            name = layer_name(base, uses[base])
        size, nonzero = _sizes(weights)
        kept = macs * nonzero // size if size else macs
        unweighted = None if weights else _unweighted(graph, node)
        operations.append(
            Operation(
                layer=name,
                node=node.name,
                operator=node.op_type,
                macs=macs,
                nonzero_macs=kept,
                unweighted=unweighted,
            )
        )
    return operations


def layer_name(weight: str, use: int) -> str:
    """Return the name of a layer by its weight, and for one that is used again the number of the use (from 1)."""
    return weight.removesuffix(".weight") + (f" (use {use})" if use > 1 else "")


def count_weights(path: str | Path) -> Weights:
    """Count the values of all constants that are not single numbers, scales, zero points, shapes or indices."""
    graph = Graph(read_model(path).graph)
    skipped = {name for node in graph.nodes for name in _parameters_of_rounding(node)}
    skipped |= {name.removesuffix("_quantized") + "_scale" for name in graph.initializers if "_quantized" in name}
    total = integer = 0
    for name, constant in graph.initializers.items():
        size = prod(constant.dims)
        if name in skipped or size == 1 or constant.data_type in (TensorProto.INT64, TensorProto.BOOL):
            continue
        dequantized = any(reader.op_type == "DequantizeLinear" for reader in graph.readers(name))
        if constant.data_type == TensorProto.INT32 and not dequantized:
            continue  # an index
        total += size
        integer += size * (constant.data_type in (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32))
    return Weights(total, integer)


def _parameters_of_rounding(node: NodeProto) -> Sequence[str]:
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return list(node.input[1:])
    return list(node.input[2:4]) if node.op_type in ("ConvInteger", "MatMulInteger") else ()


def weights_of(graph: Graph, node: NodeProto) -> list[TensorProto]:
    """Return the constants that an operator of `WEIGHTED` multiplies by."""
    factors = node.input[1:3] if node.op_type in _RECURRENT else node.input[:2]
    if node.op_type == "Einsum":
        factors = node.input
    return [constant for value in factors if (constant := graph.constant(value)) is not None]


def _sizes(weights: Sequence[TensorProto]) -> tuple[int, int]:
    values = [to_array(weight) for weight in weights]
    return sum(value.size for value in values), sum(int(np.count_nonzero(value)) for value in values)


def _unweighted(graph: Graph, node: NodeProto) -> str:
    convolution = "Conv" in node.op_type
    return COMPUTED if convolution or any(map(graph.computed_from_constants, node.input[:2])) else ACTIVATIONS


def _shapes(model: ModelProto, graph: Graph, nodes: Sequence[NodeProto], shape: Sequence[int]) -> Mapping[str, Shape]:
    """Return the shapes of what these nodes read and write: those of one image as they are when it runs."""
    constants = {name: tuple(constant.dims) for name, constant in graph.initializers.items()} | {"": ()}
    names = {name for node in nodes for name in (*node.input, node.output[0])} - constants.keys()
    names -= {entry.name for entry in model.graph.input}
    values = intermediate_values(model, sorted(names), np.zeros((1, *shape), input_of(model).type))
    images = {entry.name: (1, *shape) for entry in model.graph.input}
    return constants | images | {name: value.shape for name, value in values.items()}


def _convolution(_: NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    return prod(output) * prod(inputs[1][1:])


def _transposed_convolution(_: NodeProto, inputs: Sequence[Shape], __: Shape) -> int:
    return prod(inputs[0]) * prod(inputs[1][1:])


def _gemm(_: NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    return prod(output) * (prod(inputs[0]) // output[0])


def _matmul(_: NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    return prod(output) * inputs[0][-1]


def _recurrent(_: NodeProto, inputs: Sequence[Shape], __: Shape) -> int:
    steps = prod(inputs[0][:-1])
    return steps * (prod(inputs[1]) + prod(inputs[2]))


def _attention(_: NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    return inputs[1][-2] * (prod(inputs[0]) + prod(output))


def _einsum(node: NodeProto, inputs: Sequence[Shape], _: Shape) -> int:
    """Contract the operands one after the other, from the left."""
    equation = get_node_attr_value(node, "equation").decode().replace(" ", "")
    terms, _, result = equation.partition("->")
    labels = list(map(_labels, terms.split(","), inputs))
    sizes = {
        label: size for term, dims in zip(labels, inputs, strict=True) for label, size in zip(term, dims, strict=True)
    }
    kept = set(result) | {label for label in sizes if label[0] == "."}
    if "->" not in equation:
        kept |= {label for label, count in Counter(x for term in labels for x in term).items() if count == 1}
    macs, left = 0, set(labels[0])
    for place, term in enumerate(labels[1:], start=1):
        together = left | set(term)
        macs += prod(sizes[label] for label in together)
        left = together & (kept | {label for later in labels[place + 1 :] for label in later})
    return macs


def _labels(term: str, shape: Shape) -> list[str]:
    """Name the dimensions of an operand; those of the ellipsis are counted from the right, as they broadcast."""
    before, dots, after = term.partition("...")
    hidden = len(shape) - len(before) - len(after) if dots else 0
    return [*before, *(f".{place}" for place in range(hidden, 0, -1)), *after]


_RECURRENT = {"LSTM", "GRU", "RNN"}
_MACS: dict[str, Callable[[NodeProto, Sequence[Shape], Shape], int]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "DeformConv"), _convolution),
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
    **dict.fromkeys(("MatMul", "MatMulInteger"), _matmul),
    **dict.fromkeys(_RECURRENT, _recurrent),
    "Attention": _attention,
    "Einsum": _einsum,
}
WEIGHTED = frozenset(_MACS)
"""Operators with multiply-accumulates."""
