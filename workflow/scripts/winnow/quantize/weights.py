"""The weights of one layer: as they are in float with their batch norm, and as the integers that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from winnow.capture.fx_graphs import (
    CONVOLUTIONS,
    attribute,
    attribute_of,
    node_argument,
    number_argument,
    optional_argument,
    path_of,
    sources,
    tensor_of,
)
from winnow.quantize.int8 import Layer
from winnow.quantize.levels import BIAS_RANGE, FULL, Levels

_SMALLEST_SCALE = 2**-100  # what torch and the runtimes can still divide by, and multiply by another
_BIAS_ROOM = 4  # of int32: the sum of products needs its own


@dataclass(frozen=True)
class FloatWeights:
    """Weights [out, ...] and bias [out] of a layer with its batch norm, float32, under the name of the weights."""

    name: str
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class IntegerWeights:
    """What a layer multiplies by and adds.

    Attributes:
        codes: int8 [out, ...]; `scales`, float32 [out], times these are the weights.
        bias: int32 [out]; `steps`, float32 [out], times these are the bias. None if there is none.
    """

    name: str
    codes: Tensor
    scales: Tensor
    bias: Tensor | None
    steps: Tensor

    @property
    def float_weight(self) -> Tensor:
        """Return the weights that the integers stand for, float32 [out, ...]."""
        return self.codes * self.scales.view(_by_channel(self.codes))

    @property
    def float_bias(self) -> Tensor | None:
        """Return the bias that the integers stand for, float32 [out]."""
        return None if self.bias is None else self.bias * self.steps


def float_weights(module: GraphModule, nodes: Mapping[str, Node], layer: Layer) -> FloatWeights:
    """Compute the weights of a layer as they ship: constants evaluated, batch norm folded in."""
    node = nodes[layer.operator]
    weight, bias = evaluated(module, node_argument(node, 1)), _evaluated_if_given(module, node, 2)
    if layer.norm:
        norm = nodes[layer.norm]
        gain, shift = (_evaluated_if_given(module, norm, place) for place in (1, 2))
        mean, variance = (evaluated(module, node_argument(norm, place)) for place in (3, 4))
        factor = (variance.double() + number_argument(norm, 7)).rsqrt() * (1 if gain is None else gain.double())
        centred = ((0 if bias is None else bias.double()) - mean.double()) * factor
        bias = (centred + (0 if shift is None else shift.double())).float()
        weight = (weight.double() * factor.view(_by_channel(weight))).float()
    return FloatWeights(name_of(node), weight, bias)


def name_of(node: Node) -> str:
    """Name the weights of a layer as the network does, or by the module that computes them from several tensors."""
    weights = sources(node_argument(node, 1))
    origins = {attribute_of(source) for source in weights if tensor_of(source).dim() > 1}
    return origins.pop() if len(origins) == 1 else f"{path_of(node)}.weight".removeprefix(".")


def groups_of(node: Node) -> int:
    """Return into how many groups of channels a convolution falls; a linear is one."""
    return int(number_argument(node, 6, default=1)) if node.target in CONVOLUTIONS else 1


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
        return attribute(module, node.target).detach()
    compute = partial(_value, module)
    return node.target(*map_arg(node.args, compute), **map_arg(node.kwargs, compute))


def weight_scales(
    weight: Tensor, bias: Tensor | None = None, input_scale: float = 1.0, levels: Levels = FULL
) -> Tensor:
    """Return the scale of each output channel.

    It is that of the largest magnitude; raised where two weights of one sign could add up to more than 16 bits hold,
    if that is to be safe, and where a channel is so nearly zero that its bias, in units of both scales, would exceed
    int32.

    Args:
        weight: float [out, ...].
        bias: float [out], quantized with scale `input_scale` times that of the weight.

    Returns:
        float32 [out], positive; all the same if the levels are those of the whole tensor.
    """
    rows = weight.flatten(1)
    scales = rows.abs().amax(1).float() / levels.weights[1]
    if levels.largest_pair is not None:
        scales = torch.maximum(scales, _largest_pairs(rows).float() / levels.largest_pair)
    if bias is not None:
        scales = torch.maximum(scales, bias.abs().float() / input_scale * (_BIAS_ROOM / BIAS_RANGE[1]))
    scales = scales.clamp(min=_SMALLEST_SCALE)
    return scales.amax().expand_as(scales).contiguous() if levels.per_tensor else scales


def _largest_pairs(rows: Tensor) -> Tensor:
    """Return the largest magnitude of a sum of two numbers of one sign in each row; see `deploy.overflow`."""
    count = min(2, rows.shape[1])
    sums = [side.clamp(min=0).topk(count, dim=1).values.sum(1) for side in (rows, -rows)]
    return torch.maximum(*sums)


def nearest(weights: FloatWeights, input_scale: float, levels: Levels) -> IntegerWeights:
    """Round the weights of a layer to the nearest levels."""
    scales = weight_scales(weights.weight, weights.bias, input_scale, levels)
    codes = (weights.weight / scales.view(_by_channel(weights.weight))).round().clamp(*levels.weights)
    return integer_weights(weights, codes, scales, input_scale)


def integer_weights(weights: FloatWeights, codes: Tensor, scales: Tensor, input_scale: float) -> IntegerWeights:
    """Put the weights of a layer together.

    Args:
        weights: whose bias is rounded.
        codes: the rounded weights, [out, ...]; `scales`, float32 [out], belong to them.
        input_scale: of the activations.
    """
    steps = scales * input_scale
    bias = None
    if weights.bias is not None:
        bias = (weights.bias.double() / steps.double()).round().clamp(*BIAS_RANGE).to(torch.int32)
    return IntegerWeights(weights.name, codes.to(torch.int8), scales, bias, steps)


def _by_channel(weight: Tensor) -> tuple[int, ...]:
    """Return the shape in which a number for each output channel multiplies weights."""
    return (-1, *[1] * (weight.dim() - 1))
