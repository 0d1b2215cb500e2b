"""A walk through a network, layer by layer, with its values in float and rounded side by side.

So the integers of each layer can be chosen by what the rounded layers before it give it, and by what the layer gives
in float (Nagel et al. 2019, 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from winnow.capture.fx_graphs import node_argument, operator_of
from winnow.quantize.int8 import Plan, Point
from winnow.quantize.levels import Levels
from winnow.quantize.lowering import input_scale
from winnow.quantize.ranges import Scale
from winnow.quantize.weights import FloatWeights, IntegerWeights, evaluated, float_weights


@dataclass(frozen=True)
class Meeting:
    """What is known of a layer when its integers are chosen.

    Attributes:
        node: the convolution or linear.
        weights: in float, its batch norm folded in.
        scale: of the activations that it reads.
        inputs: those, from rounded layers and rounded themselves, float32 [N, in, ...] for each batch.
        wanted: what the layer gives in the float network, its batch norm included, float32 [N, out, ...].
    """

    node: Node
    weights: FloatWeights
    scale: float
    inputs: Sequence[Tensor]
    wanted: Sequence[Tensor]

    def output(self, value: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return what the layer gives with other weights."""
        result: Tensor = operator_of(self.node)(value, weight, bias, *self.node.args[3:])
        return result


Choose = Callable[[Meeting], IntegerWeights]


@torch.no_grad()
def walk(
    graph_module: GraphModule,
    plan: Plan,
    scales: Mapping[str, Scale],
    levels: Levels,
    batches: Sequence[Tensor],
    choose: Choose,
) -> dict[str, IntegerWeights]:
    """Choose the integers of each layer in turn, and return them by its operator.

    Args:
        graph_module: captured, in inference mode.
        plan: made from this graph.
        scales: of every root of the plan.
        batches: normalized float32 [N, C, H, W]; all of their values at one depth are in memory.
    """
    return _Walk(graph_module, plan, scales, levels, batches).run(choose)


class _Walk:
    def __init__(
        self,
        graph_module: GraphModule,
        plan: Plan,
        scales: Mapping[str, Scale],
        levels: Levels,
        batches: Sequence[Tensor],
    ) -> None:
        self.module, self.plan, self.scales, self.levels, self.batches = graph_module, plan, scales, levels, batches
        self.nodes = {node.name: node for node in graph_module.graph.nodes}
        self.layers = {layer.operator: layer for layer in plan.layers}
        self.norms = {layer.norm: layer.operator for layer in plan.layers if layer.norm}
        self.points = {point.value: point for point in plan.points if point.value == point.root}
        self.last_reader = {value: node for node in graph_module.graph.nodes for value in node.all_input_nodes}
        self.floats: dict[Node, list[Any]] = {}
        self.rounded: dict[Node, list[Any]] = {}
        self.codes: dict[Node, list[Tensor]] = {}  # rounded values, after their rounding

    def run(self, choose: Choose) -> dict[str, IntegerWeights]:
        chosen = {}
        for node in self.module.graph.nodes:
            if node.op == "output":
                break
            if node.name in self.layers:
                meeting = self._meet(node)
                chosen[node.name] = integers = choose(meeting)
                weight, bias = integers.float_weight, integers.float_bias
                self.floats[node] = list(meeting.wanted)
                self.rounded[node] = [meeting.output(value, weight, bias) for value in meeting.inputs]
            elif node.name in self.norms:  # part of the layer
                source = node_argument(node, 0)
                self.floats[node], self.rounded[node] = self.floats[source], self.rounded[source]
            else:
                self._compute(node)
            self._round(node)
            self._forget(node)
        return chosen

    def _meet(self, node: Node) -> Meeting:
        weights = float_weights(self.module, self.nodes, self.layers[node.name])
        source = node_argument(node, 0)
        meeting = Meeting(node, weights, input_scale(self.plan, node, self.scales), self._read(source, node), ())
        wanted = [meeting.output(value, weights.weight, weights.bias) for value in self.floats[source]]
        return Meeting(node, weights, meeting.scale, meeting.inputs, wanted)

    def _compute(self, node: Node) -> None:
        if node.op == "placeholder":
            self.floats[node] = self.rounded[node] = list(self.batches)
        elif node.op == "get_attr":
            self.floats[node] = self.rounded[node] = [evaluated(self.module, node)] * len(self.batches)
        else:
            read = {value: self._read(value, node) for value in node.all_input_nodes}
            self.floats[node], self.rounded[node] = self._called(node, self.floats), self._called(node, read)

    def _called(self, node: Node, values: Mapping[Node, list[Any]]) -> list[Any]:
        """Return what a node computes for each batch from the values before it."""
        assert callable(node.target)
        results = []
        for batch in range(len(self.batches)):
            args, options = map_arg((node.args, node.kwargs), lambda value: values[value][batch])  # noqa: B023
            results.append(node.target(*args, **options))
        return results

    def _read(self, value: Node, reader: Node) -> list[Any]:
        """Return a value as a node of the int8 network reads it."""
        point = self.points.get(value.name)
        return self.codes[value] if point and _covers(point, reader) else self.rounded[value]

    def _round(self, node: Node) -> None:
        if node.name in self.points:
            scale = self.scales[node.name]
            self.codes[node] = [scale.rounded(value, self.levels) for value in self.rounded[node]]

    def _forget(self, node: Node) -> None:
        """Drop the values that no later node reads."""
        for value in node.all_input_nodes:
            if self.last_reader[value] is node:
                for values in (self.floats, self.rounded, self.codes):
                    values.pop(value, None)


def _covers(point: Point, reader: Node) -> bool:
    return point.readers is None or reader.name in point.readers
