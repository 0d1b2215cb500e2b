"""From a captured graph, a plan, scales and integers to the int8 module that is exported.

Rounding is written as pairs of quantize and dequantize operators, which exporters know and runtimes fuse. Where there
are fewer levels than uint8 has, the codes are clipped in between: quantizing saturates at 255 only. Both runtimes keep
such a chain on integers, and compute the same from it; a clip in front of the rounding would keep ONNX Runtime from
fusing the layer.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
import torch.ao.quantization.fx._decomposed  # registers the operators of quantized_decomposed
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import Argument

from winnow.capture.fx_graphs import (
    BATCH_NORM,
    TRANSPOSED,
    WEIGHTED,
    calls,
    drop_unread,
    node_argument,
    number_argument,
)
from winnow.quantize.constants import Constants
from winnow.quantize.int8 import DROPOUT, PADS, Plan, Point, folds, is_relu, passes
from winnow.quantize.levels import BIAS_RANGE, UINT8, Levels
from winnow.quantize.ranges import Scale
from winnow.quantize.weights import IntegerWeights, float_weights, groups_of, name_of, nearest

aten = torch.ops.aten
_codes = torch.ops.quantized_decomposed


def lowered(
    graph_module: GraphModule,
    plan: Plan,
    scales: Mapping[str, Scale],
    levels: Levels,
    weights: Mapping[str, IntegerWeights] | None = None,
) -> GraphModule:
    """Return the int8 module of a captured graph; the graph is not changed.

    Args:
        graph_module: in inference mode, with the weights to ship.
        plan: made from this graph.
        scales: of every root of the plan.
        weights: of each layer of the plan, by its operator; None for the nearest integers.
    """
    module = copy.deepcopy(graph_module)
    nodes = {node.name: node for node in module.graph.nodes}
    if weights is None:
        weights = nearest_weights(graph_module, plan, scales, levels)
    # a dropout behind a rounded value is that value, and nothing may stand between it and its readers
    kept = [point for point in plan.points if point.value == point.root or nodes[point.value].target not in DROPOUT]
    for point in plan.points:
        if point not in kept:
            _bypass(nodes[point.value])
    for point in kept:
        _round(nodes, point, scales[point.root], levels)
    constants = Constants(module)
    for layer in plan.layers:
        node = nodes[layer.operator]
        if layer.norm:
            nodes[layer.norm].replace_all_uses_with(node)
            module.graph.erase_node(nodes[layer.norm])
        _set_weights(node, weights[layer.operator], levels, constants)
    _keep_float(module, {layer.operator for layer in plan.layers}, constants)
    for node in calls(module):
        if node.target in DROPOUT:
            _bypass(node)
        elif folds(node):  # in inference an instance norm is one, too, and exporters would read the batch size for it
            node.target = BATCH_NORM
    module.graph.eliminate_dead_code()
    drop_unread(module)
    module.graph.lint()
    module.recompile()
    return module


def nearest_weights(
    graph_module: GraphModule, plan: Plan, scales: Mapping[str, Scale], levels: Levels
) -> dict[str, IntegerWeights]:
    """Round the weights of each layer of a plan to the nearest levels, by its operator."""
    nodes = {node.name: node for node in graph_module.graph.nodes}
    return {
        layer.operator: nearest(
            float_weights(graph_module, nodes, layer), input_scale(plan, nodes[layer.operator], scales), levels
        )
        for layer in plan.layers
    }


def input_scale(plan: Plan, node: Node, scales: Mapping[str, Scale]) -> float:
    """Return the scale of the activations that a layer reads, by its operator."""
    source = node_argument(node, 0).name
    return scales[next(point.root for point in plan.points if point.value == source)].scale


def _bypass(node: Node) -> None:
    node.replace_all_uses_with(node_argument(node, 0))
    node.graph.erase_node(node)


def _round(nodes: Mapping[str, Node], point: Point, scale: Scale, levels: Levels) -> None:
    value = nodes[point.value]
    arguments = (scale.scale, scale.zero_point, *UINT8, torch.uint8)
    if point.value != point.root:
        if value.target in PADS:
            _pad_codes(value, arguments)
            return
        clip = False  # it moves codes that are clipped already
    else:
        clip = levels.clipped
    readers = [reader for reader in value.users if point.readers is None or reader.name in point.readers]
    with value.graph.inserting_after(value):
        code = value.graph.call_function(_codes.quantize_per_tensor.default, (value, *arguments))
    if clip:
        with value.graph.inserting_after(code):
            code = value.graph.call_function(aten.clamp.default, (code, *levels.activations))
        if is_relu(value):  # its bound, of a ReLU6, is that of the codes or beyond: a second clip would not be fused
            value.target, value.args, value.kwargs = aten.relu.default, value.args[:1], {}
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


def _set_weights(node: Node, weights: IntegerWeights, levels: Levels, constants: Constants) -> None:
    weight = _dequantized(node, weights.name, weights.codes, weights.scales, levels.weights, constants)
    bias = None
    if weights.bias is not None:
        name = f"{weights.name.rpartition('.')[0]}.bias".removeprefix(".")
        bias = _dequantized(node, name, weights.bias, weights.steps, BIAS_RANGE, constants)
    node.args = (node.args[0], weight, bias, *node.args[3:])


def _keep_float(module: GraphModule, integer: Collection[str], constants: Constants) -> None:
    """Let layers in float read rounded values by channel, though all channels have one scale.

    ONNX Runtime 1.32 (WeightBiasQuantization) rounds float weights, all with one scale, where an input with one scale
    is dequantized, or moved after that, and the output is quantized.
    """
    for node in calls(module):
        if node.target not in (*WEIGHTED, *TRANSPOSED) or node.name in integer:
            continue
        source = value = node_argument(node, 0)
        while passes(source):
            source = node_argument(source, 0)
        if source.target != _codes.dequantize_per_tensor.default:
            continue
        code, _, _, *limits = source.args
        scale, zero_point = number_argument(source, 1), int(number_argument(source, 2))
        name, channels = name_of(node).removesuffix("weight"), _input_channels(node)
        scales = constants.read(node, f"{name}input_scale", torch.full([channels], scale))
        zero_points = constants.read(node, f"{name}input_zero_point", torch.full([channels], zero_point))
        axis = -1 if node.target == aten.linear.default else 1
        with node.graph.inserting_before(node):
            if source is not value:
                arguments = (value, *source.args[1:])
                code = node.graph.call_function(_codes.quantize_per_tensor.default, arguments)
            arguments = (code, scales, zero_points, axis, *limits)
            by_channel = node.graph.call_function(_codes.dequantize_per_channel.default, arguments)
        node.replace_input_with(value, by_channel)


def _input_channels(node: Node) -> int:
    weight: Tensor = node_argument(node, 1).meta["val"]
    return weight.shape[0] if node.target in TRANSPOSED else weight.shape[1] * groups_of(node)


def _dequantized(
    node: Node, name: str, codes: Tensor, scales: Tensor, limits: tuple[int, int], constants: Constants
) -> Node:
    """Insert a constant of integers, [out, ...], and its dequantization by output channel, `scales` float32 [out]."""
    code = constants.read(node, name, codes)
    scale = constants.read(node, f"{name}_scale", scales)
    zero_point = constants.read(node, f"{name}_zero_point", torch.zeros(len(scales), dtype=torch.int64))
    arguments = (code, scale, zero_point, 0, *limits, codes.dtype)
    with node.graph.inserting_before(node):
        return node.graph.call_function(_codes.dequantize_per_channel.default, arguments)
