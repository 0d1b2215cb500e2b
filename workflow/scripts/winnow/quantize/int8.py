"""Where int8 goes: which layers compute on integers, and which values are rounded to 8 bits on the way.

ONNX Runtime and OpenVINO fuse a convolution, linear or residual add with the rounding of its inputs (uint8, per
tensor, affine), weights (int8, per output channel, symmetric), bias (int32) and, for convolutions and wherever a ReLU
ends the operator, always output. A batch norm and a ReLU or ReLU6 behind an operator belong to it, unless others read
the value in between. What computes in float by nature (normalization over features, softmax, gates, GELU) stays in
float, and so does a residual stream that such operators feed: rounding it would cost accuracy and spare no
multiplication.
Source: Jacob et al. 2018 (integer-arithmetic-only inference), Krishnamoorthi 2018 (per-channel weights).
"""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from winnow.capture.fx_graphs import (
    AVERAGE_POOLS,
    CONVOLUTIONS,
    MAX_POOLS,
    NORMS,
    WEIGHTED,
    aliases,
    calls,
    is_constant,
    module_of,
    node_argument,
    node_arguments,
    writes_into_a_part,
)
from winnow.errors import WinnowError

aten = torch.ops.aten
_ADD = aten.add.Tensor
_RELU = (aten.relu.default, aten.relu6.default)
_CLIPS = (aten.hardtanh.default, aten.clamp.default, aten.clamp_min.default)
# These select, move or clip values at zero, so that what they return is rounded if their input is.
_PASSING: tuple[object, ...] = (
    *_RELU,
    *MAX_POOLS,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.view.default,
    aten.reshape.default,
    aten.permute.default,
    aten.transpose.int,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.slice.Tensor,
    aten.select.int,
    aten.chunk.default,
    aten.split.Tensor,
    aten.contiguous.default,
    aten.clone.default,
    aten.pixel_shuffle.default,
    aten.pixel_unshuffle.default,
    aten.channel_shuffle.default,
    aten.upsample_nearest2d.vec,
    operator.getitem,
)
PADS = (aten.pad.default, aten.constant_pad_nd.default)
DROPOUT = (aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default)
# These combine values: the result has a range of its own.
_COMBINING = (_ADD, aten.cat.default, aten.mean.dim, *AVERAGE_POOLS)


@dataclass(frozen=True)
class Layer:
    """A convolution or linear on integers, by names of nodes in the captured graph.

    Attributes:
        operator: the convolution or linear.
        norm: the batch norm that becomes a part of its weights; None if there is none.
        last: where the fused chain ends: the operator itself, its norm, or a ReLU.
    """

    operator: str
    norm: str | None
    last: str


@dataclass(frozen=True)
class Point:
    """A value that is rounded to 8 bits.

    Attributes:
        value: the node that computes it.
        root: the node whose range it shares; `value` itself where it has a range of its own.
        readers: nodes that read the rounded value; None for all, where the value is made on integers.
    """

    value: str
    root: str
    readers: tuple[str, ...] | None


@dataclass(frozen=True)
class Plan:
    """Where int8 goes in one captured graph; points in the order of the graph."""

    layers: tuple[Layer, ...]
    points: tuple[Point, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        """Return the values that need a range."""
        return tuple(point.value for point in self.points if point.value == point.root)


def plan_of(graph_module: GraphModule, in_float: Collection[str] = ()) -> Plan:
    """Decide what is int8 in a captured graph (see `capture.captured`).

    Args:
        in_float: operators of layers that stay in float.

    Raises:
        WinnowError: the network writes into part of a value that would be rounded.
    """
    return _Planner(graph_module, in_float).plan()


class _Planner:
    def __init__(self, graph_module: GraphModule, in_float: Collection[str]) -> None:
        self.places = {node: place for place, node in enumerate(graph_module.graph.nodes)}
        names = {node.name: node for node in self.places}
        self.nodes = list(calls(graph_module))
        self.layers = {node: _layer(node) for node in self.nodes if _is_layer(node) and node.name not in in_float}
        self.ends = {names[layer.last]: node for node, layer in self.layers.items()}  # of chains -> their operator
        self.inside = {names[name] for layer in self.layers.values() for name in (layer.operator, layer.norm) if name}
        self.fused_adds: dict[Node, Node] = {}  # a residual add -> its ReLU
        self.roots: dict[Node, Node] = {}  # values made on integers -> those whose range they share
        self.rounded: dict[Node, None] = {}

    def plan(self) -> Plan:
        self._spread()
        self._demand()
        values = [node for node in self.rounded if isinstance(node.meta["val"], Tensor)]
        points = {node: Point(node.name, self.roots[node].name, None) for node in values}
        for layer in self.layers:
            source = node_argument(layer, 0)
            if source not in points:  # computed in float, or the images: rounded for the integer operators alone
                readers = tuple(reader.name for reader in source.users if reader in self.layers)
                points[source] = Point(source.name, source.name, readers)
        self._refuse_mutated(points)
        ordered = sorted(points, key=self.places.__getitem__)
        return Plan(tuple(self.layers.values()), tuple(points[node] for node in ordered))

    def _refuse_mutated(self, points: Collection[Node]) -> None:
        for node in self.nodes:
            if writes_into_a_part(node) and any(value in points for value in aliases(node_argument(node, 0))):
                raise WinnowError(
                    f"{module_of(node)}: {node.target} writes into part of a value that is rounded to int8; "
                    "write it out of place, or leave ptq and qat out of quantization.methods"
                )

    def _spread(self) -> None:
        """Find the values that follow from integer operators without arithmetic that must be in float."""
        for node in self.nodes:
            if node in self.ends:
                self.roots[node] = node
            elif node in self.inside or not _is_float(node):
                continue
            elif passes(node) and node_argument(node, 0) in self.roots:
                self.roots[node] = self.roots[node_argument(node, 0)]
            elif node.target in _COMBINING and not node.kwargs and all(s in self.roots for s in _operands(node)):
                relu = _only_relu(node) if node.target == _ADD else None
                self.roots[node] = relu or node  # an add with its ReLU is one operator, rounded at its end
                if relu:
                    self.fused_adds[node] = relu

    def _demand(self) -> None:
        """Round what integer operators read, on the whole way there, and what only rounded values are fused with."""
        for node in reversed(self.roots):
            readers = [self.fused_adds.get(reader, reader) for reader in node.users]
            wanted = any(reader in self.layers or reader in self.rounded for reader in readers)
            made_by = self.ends.get(self.roots[node] if node.target in PADS else node)
            if wanted or (made_by is not None and (made_by.target in CONVOLUTIONS or is_relu(node))):
                self.rounded[node] = None
        for add in self.fused_adds:
            self.rounded.pop(add, None)


def _is_layer(node: Node) -> bool:
    return node.target in WEIGHTED and _is_float(node) and is_constant(node.args[1]) and not is_constant(node.args[0])


def _layer(node: Node) -> Layer:
    norm, last = None, node
    reader = _only_reader(node)
    if reader is not None and folds(reader):
        norm, last = reader.name, reader
        reader = _only_reader(reader)
    if reader is not None and is_relu(reader):
        last = reader
    return Layer(node.name, norm, last.name)


def folds(node: Node) -> bool:
    """Whether a node is a norm that a layer in front of it can take over: one with statistics of its own."""
    return node.target in NORMS and None not in node.args[3:5]


def _only_reader(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _only_relu(node: Node) -> Node | None:
    reader = _only_reader(node)
    return reader if reader is not None and is_relu(reader) else None


def is_relu(node: Node) -> bool:
    """ReLU, or a clip at zero and some maximum."""
    if node.target in _RELU:
        return True
    return node.target in _CLIPS and node.args[1:2] == (0,)


def passes(node: Node) -> bool:
    if node.target in PADS:
        if node.target == aten.constant_pad_nd.default:
            return not any(node.args[2:])
        return node.args[2:3] in ((), ("constant",)) and not any(node.args[3:])
    return node.target in _PASSING or node.target in DROPOUT or is_relu(node)


def _operands(node: Node) -> tuple[object, ...]:
    joined = node.target == aten.cat.default
    return tuple(node_arguments(node, 0)) if joined else node.args[: 2 if node.target == _ADD else 1]


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    values = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(part, Tensor) and part.dtype == torch.float32 for part in values)
