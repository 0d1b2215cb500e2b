"""The layers of an int8 network that compute on integers, read from its module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.ao.quantization.fx._decomposed  # registers the operators of quantized_decomposed
from torch import Tensor
from torch.fx import GraphModule, Node

from winnow.approximate.geometry import Geometry
from winnow.capture.fx_graphs import (
    WEIGHTED,
    attribute,
    attribute_of,
    calls,
    node_argument,
    number_argument,
    optional_argument,
)
from winnow.deploy.graphs import base_name
from winnow.deploy.operations import layer_name

_codes = torch.ops.quantized_decomposed
_BY_TENSOR, _BY_CHANNEL = _codes.dequantize_per_tensor.default, _codes.dequantize_per_channel.default


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """A convolution or linear of an int8 module.

    Attributes:
        name: as tables have it.
        constant: the name of its weights in the module.
        zero: the zero point of its input, as a code 0..255: the activation plus 128.
        weight: int8 [out, in / groups, ...].
        bias: float64 [out], whole numbers in units of `step`.
        step: float64 [out], what one unit of a sum is worth.
    """

    name: str
    constant: str
    zero: int
    weight: Tensor
    bias: Tensor
    step: Tensor
    geometry: Geometry


def integer_layers(module: GraphModule) -> Iterator[tuple[Node, Node, IntegerLayer]]:
    """Find the layers on integers of an int8 module (`lowering.lowered`), in the order of the graph.

    Yields:
        The operator, the value whose codes it reads (uint8), and what it computes with.
    """
    uses: Counter[str] = Counter()
    for node in calls(module):
        if node.target not in WEIGHTED:
            continue
        read, weight, bias = node_argument(node, 0), node_argument(node, 1), optional_argument(node, 2)
        if read.target != _BY_TENSOR or weight.target not in (_BY_CHANNEL, _BY_TENSOR):
            continue
        scale, zero = number_argument(read, 1), int(number_argument(read, 2))
        name, integers = attribute_of(node_argument(weight, 0)), _constant(module, weight)
        uses[base_name(name)] += 1
        step = _scales(module, weight).double().expand(len(integers)) * scale
        layer = IntegerLayer(
            name=layer_name(base_name(name), uses[base_name(name)]),
            constant=name,
            zero=zero,
            weight=integers,
            bias=torch.zeros_like(step) if bias is None else _constant(module, bias).double(),
            step=step,
            geometry=Geometry.of(node),
        )
        yield node, node_argument(read, 0), layer


def _constant(module: GraphModule, dequantized: Node, place: int = 0) -> Tensor:
    """Return the integers of dequantized weights or of a bias, or what else they are dequantized with."""
    value: Tensor = attribute(module, attribute_of(node_argument(dequantized, place)))
    return value.detach()


def _scales(module: GraphModule, weight: Node) -> Tensor:
    """Return the scales of dequantized weights: [out], or one for all, [1]."""
    if weight.target == _BY_TENSOR:
        return torch.tensor([number_argument(weight, 1)])
    return _constant(module, weight, 1)
