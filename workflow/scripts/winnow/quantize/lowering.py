"""From a captured graph, a plan and scales to the int8 module that is exported.

Rounding is written as pairs of quantize and dequantize operators, which exporters know and runtimes fuse.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torchao.quantization.pt2e  # noqa: F401 - registers the operators of quantized_decomposed
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import Argument, map_arg

from winnow.capture.fx_graphs import (
    BATCH_NORM,
    attribute_of,
    calls,
    node_argument,
    number_argument,
    optional_argument,
    path_of,
    sources,
    tensor_of,
)
from winnow.quantize.int8 import ACTIVATION_RANGE, BIAS_RANGE, DROPOUT, PADS, WEIGHT_RANGE, Layer, Plan, Point, folds
from winnow.quantize.ranges import Scale, weight_scales

aten = torch.ops.aten
_codes = torch.ops.quantized_decomposed


@dataclass(frozen=True)
class _Folded:
    """Weights [out, ...] and bias [out] of a layer with its batch norm, float32."""

    name: str
    weight: Tensor
    bias: Tensor | None


def lowered(graph_module: GraphModule, plan: Plan, scales: Mapping[str, Scale]) -> GraphModule:
    """Return the int8 module of a captured graph; the graph is not changed.

    Args:
        graph_module: in inference mode, with the weights to ship.
        plan: made from this graph.
        scales: of every root of the plan.
    """
    module = copy.deepcopy(graph_module)
    nodes = {node.name: node for node in module.graph.nodes}
    input_scales = {
        nodes[layer.operator]: scales[_root(plan, node_argument(nodes[layer.operator], 0))] for layer in plan.layers
    }
    constants = _Constants(module)
    folded = {layer: _fold(module, nodes, layer) for layer in plan.layers}
    # a dropout behind a rounded value is that value, and nothing may stand between it and its readers
    kept = [point for point in plan.points if point.value == point.root or nodes[point.value].target not in DROPOUT]
    for point in plan.points:
        if point not in kept:
            _bypass(nodes[point.value])
    for point in kept:
        _round(nodes, point, scales[point.root])
    for layer in plan.layers:
        node = nodes[layer.operator]
        if layer.norm:
            nodes[layer.norm].replace_all_uses_with(node)
            module.graph.erase_node(nodes[layer.norm])
        _set_weights(node, folded[layer], input_scales[node].scale, constants)
    for node in calls(module):
        if node.target in DROPOUT:
            _bypass(node)
        elif folds(node):  # in inference an instance norm is one, too, and exporters would read the batch size for it
            node.target = BATCH_NORM
    module.graph.eliminate_dead_code()
    constants.drop_unread()
    module.graph.lint()
    module.recompile()
    return module


def _root(plan: Plan, node: Node) -> str:
    return next(point.root for point in plan.points if point.value == node.name)


def _bypass(node: Node) -> None:
    node.replace_all_uses_with(node_argument(node, 0))
    node.graph.erase_node(node)


def _round(nodes: Mapping[str, Node], point: Point, scale: Scale) -> None:
    value = nodes[point.value]
    arguments = (scale.scale, scale.zero_point, *ACTIVATION_RANGE, torch.uint8)
    if value.target in PADS and point.value != point.root:
        _pad_codes(value, arguments)
        return
    readers = [reader for reader in value.users if point.readers is None or reader.name in point.readers]
    with value.graph.inserting_after(value):
        code = value.graph.call_function(_codes.quantize_per_tensor.default, (value, *arguments))
    with value.graph.inserting_after(code):
        rounded = value.graph.call_function(_codes.dequantize_per_tensor.default, (code, *arguments))
    for reader in readers:
        reader.replace_input_with(value, rounded)


def _pad_codes(value: Node, arguments: tuple[Argument, ...]) -> None:
    """Pad a rounded value as integers.

    OpenVINO 2026.4 pads channels and features with code 0 where the zero point of the value is another one.
    """
    zero_point, code = arguments[1], node_argument(node_argument(value, 0), 0)
    with value.graph.inserting_after(value):
        padded = value.graph.call_function(aten.constant_pad_nd.default, (code, value.args[1], zero_point))
    with value.graph.inserting_after(padded):
        rounded = value.graph.call_function(_codes.dequantize_per_tensor.default, (padded, *arguments))
    value.replace_all_uses_with(rounded)


def _fold(module: GraphModule, nodes: Mapping[str, Node], layer: Layer) -> _Folded:
    """Compute the weights of a layer as they ship: constants evaluated, batch norm folded in."""
    node = nodes[layer.operator]
    weight, bias = evaluated(module, node_argument(node, 1)), _evaluated_if_given(module, node, 2)
    name = _name(node)
    if layer.norm:
        norm = nodes[layer.norm]
        gain, shift = (_evaluated_if_given(module, norm, place) for place in (1, 2))
        mean, variance = (evaluated(module, node_argument(norm, place)) for place in (3, 4))
        factor = (variance.double() + number_argument(norm, 7)).rsqrt() * (1 if gain is None else gain.double())
        centred = ((0 if bias is None else bias.double()) - mean.double()) * factor
        bias = (centred + (0 if shift is None else shift.double())).float()
        weight = (weight.double() * factor.view(-1, *[1] * (weight.dim() - 1))).float()
    return _Folded(name, weight, bias)


def _name(node: Node) -> str:
    """Name the weights of a layer as the network does, or by the module that computes them from several tensors."""
    weights = sources(node_argument(node, 1))
    origins = {attribute_of(source) for source in weights if tensor_of(source).dim() > 1}
    return origins.pop() if len(origins) == 1 else f"{path_of(node)}.weight".removeprefix(".")


def evaluated(module: GraphModule, node: Node) -> Tensor:
    """Compute a constant of the graph (`fx_graphs.is_constant`), in the shape and type that it has there."""
    value: Tensor = _value(module, node)
    return value


def _evaluated_if_given(module: GraphModule, node: Node, place: int) -> Tensor | None:
    argument = optional_argument(node, place)
    return None if argument is None else evaluated(module, argument)


def _value(module: GraphModule, node: Node) -> Any:
    """Compute a constant, or the several tensors that an operator on the way to one returns."""
    if isinstance(node.target, str):  # it reads an attribute
        owner, _, name = node.target.rpartition(".")
        return getattr(module.get_submodule(owner), name).detach()
    compute = partial(_value, module)
    return node.target(*map_arg(node.args, compute), **map_arg(node.kwargs, compute))


class _Constants:
    """The tensors of an int8 module, under the names the network gave them.

    A weight that several layers share stays one constant where they quantize it alike; where their batch norms
    differ, the further ones are `<name>_use2`, `<name>_use3`, ...
    """

    def __init__(self, module: GraphModule) -> None:
        self.module = module
        self.known: dict[str, list[Tensor]] = {}

    def read(self, before: Node, name: str, value: Tensor) -> Node:
        """Insert a node that reads a constant, in front of another."""
        same = self.known.setdefault(name, [])
        use = next((place for place, other in enumerate(same) if torch.equal(other, value)), len(same))
        target = name if use == 0 else f"{name}_use{use + 1}"
        if use == len(same):
            same.append(value)
            self._register(target, value)
        with before.graph.inserting_before(before):
            return before.graph.get_attr(target)

    def _register(self, target: str, value: Tensor) -> None:
        owner, _, name = target.rpartition(".")
        module = self.module.get_submodule(owner)
        if hasattr(module, name):  # a float operator may read it as well, as the embedding of a tied weight does
            module.register_buffer(f"{name}_float", getattr(module, name).detach())
            delattr(module, name)
            for node in self.module.graph.find_nodes(op="get_attr", target=target):
                node.target = f"{target}_float"
        module.register_buffer(name, value.contiguous())

    def drop_unread(self) -> None:
        """Remove parameters and buffers that no node reads."""
        read = {node.target for node in self.module.graph.nodes if node.op == "get_attr"}
        for name in [*dict(self.module.named_parameters()), *dict(self.module.named_buffers())]:
            if name not in read:
                owner, _, attribute = name.rpartition(".")
                delattr(self.module.get_submodule(owner), attribute)


def _set_weights(node: Node, folded: _Folded, input_scale: float, constants: _Constants) -> None:
    scales = weight_scales(folded.weight, folded.bias, input_scale)
    shape = (-1, *[1] * (folded.weight.dim() - 1))
    codes = (folded.weight / scales.view(shape)).round().clamp(*WEIGHT_RANGE).to(torch.int8)
    arguments = [node.args[0], _dequantized(node, folded.name, codes, scales, WEIGHT_RANGE, constants)]
    bias = None
    if folded.bias is not None:
        steps = scales * input_scale
        codes = (folded.bias.double() / steps.double()).round().clamp(*BIAS_RANGE).to(torch.int32)
        name = f"{folded.name.rpartition('.')[0]}.bias".removeprefix(".")
        bias = _dequantized(node, name, codes, steps, BIAS_RANGE, constants)
    node.args = (*arguments, bias, *node.args[3:])


def _dequantized(
    node: Node, name: str, codes: Tensor, scales: Tensor, limits: tuple[int, int], constants: _Constants
) -> Node:
    """Insert a constant of integers, [out, ...], and its dequantization by output channel, `scales` float32 [out]."""
    code = constants.read(node, name, codes)
    scale = constants.read(node, f"{name}_scale", scales)
    zero_point = constants.read(node, f"{name}_zero_point", torch.zeros(len(scales), dtype=torch.int64))
    arguments = (code, scale, zero_point, 0, *limits, codes.dtype)
    with node.graph.inserting_before(node):
        return node.graph.call_function(_codes.dequantize_per_channel.default, arguments)
