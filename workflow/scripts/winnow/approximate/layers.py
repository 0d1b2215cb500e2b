"""The layers of an int8 network that compute on integers, read from its module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torchao.quantization.pt2e  # noqa: F401 - registers the operators of quantized_decomposed
from torch import Tensor
from torch.fx import GraphModule, Node

from winnow.approximate.geometry import Geometry
from winnow.capture.fx_graphs import WEIGHTED, attribute, attribute_of, calls
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
        read, weight, bias = (*node.args[:3], None)[:3]
        if not _is(read, _BY_TENSOR) or not _is(weight, _BY_CHANNEL, _BY_TENSOR):
            continue
        codes, scale, zero = read.args[:3]
        constant, weight_scale = weight.args[:2]
        name = attribute_of(constant)
        integers = _tensor(module, name)
        uses[base_name(name)] += 1
        step = _numbers(module, weight_scale).expand(len(integers)).double() * float(scale)
        layer = IntegerLayer(
            name=layer_name(base_name(name), uses[base_name(name)]),
            constant=name,
            zero=int(zero),
            weight=integers,
            bias=torch.zeros_like(step) if bias is None else _bias(module, bias, step),
            step=step,
            geometry=Geometry.of(node),
        )
        yield node, codes, layer


def _is(node: object, *targets: object) -> bool:
    return isinstance(node, Node) and node.target in targets


def _tensor(module: GraphModule, name: str) -> Tensor:
    value: Tensor = attribute(module, name)
    return value.detach()


def _numbers(module: GraphModule, value: object) -> Tensor:
    return _tensor(module, attribute_of(value)) if isinstance(value, Node) else torch.tensor(value)


def _bias(module: GraphModule, bias: Node, step: Tensor) -> Tensor:
    """Return the integers of a bias, whose scale is the product of those of activations and weights."""
    return _tensor(module, attribute_of(bias.args[0])).double().expand_as(step)
