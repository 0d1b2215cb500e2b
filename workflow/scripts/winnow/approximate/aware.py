"""Approximation-aware training: forward through the multiplier, backward as if it were exact (straight-through).

The network learns to live with its circuits as it learns to live with rounding (`quantize.aware`), in the same loop.
Behind a layer with a batch norm nothing is to be corrected: the statistics of the norm take the mean error in.
Source: straight-through: Bengio et al. 2013; for multipliers: Trommer et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from winnow.approximate.circuit import Circuit
from winnow.approximate.geometry import Geometry
from winnow.approximate.layers import IntegerLayer, integer_layers
from winnow.approximate.network import approximate
from winnow.approximate.products import approximate_layer
from winnow.capture.fx_graphs import node_argument
from winnow.config.settings import QatSettings
from winnow.prune.masks import Masks
from winnow.quantize.aware import AwareTraining
from winnow.quantize.int8 import Layer
from winnow.quantize.levels import UINT8
from winnow.quantize.ranges import WeightQuantizer
from winnow.study.recipe import Recipe

_PREFIX = "multiply_"


class ApproximateTraining(AwareTraining):
    """A network with fake quantizers whose layers multiply with circuits; else as `AwareTraining`.

    Args:
        circuit_of: returns the circuit of a layer, by the name that tables have.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        settings: QatSettings,
        recipe: Recipe,
        circuit_of: Callable[[str], Circuit],
        masks: Masks | None = None,
    ) -> None:
        super().__init__(model, example, settings, recipe, masks)
        self._circuit_of = circuit_of
        names = [layer.name for _, _, layer in integer_layers(super().convert())]
        for layer, name in zip(self._plan.layers, names, strict=True):
            _multiply_with(self.model, layer, circuit_of(name))
        self.model.graph.lint()
        self.model.recompile()

    def convert(self) -> GraphModule:
        """Return the approximate network, on the CPU."""
        return approximate(super().convert(), self._circuit_of)


def _multiply_with(model: GraphModule, layer: Layer, made: Circuit) -> None:
    """Let a layer of a graph with fake quantizers multiply with a circuit."""
    nodes = {node.name: node for node in model.graph.nodes}
    node, norm = nodes[layer.operator], nodes[layer.norm] if layer.norm else None
    name = f"{_PREFIX}{node.name}"
    rounded = node_argument(node, 1)
    weights = model.get_submodule(str(rounded.target))
    assert isinstance(weights, WeightQuantizer)
    model.add_submodule(name, _Multiplying(made, Geometry.of(node), weights))
    quantizer = node_argument(node, 0)
    while quantizer.op != "call_module":  # what lies between a rounded value and its reader moves or selects
        quantizer = node_argument(quantizer, 0)
    with model.graph.inserting_before(node):
        code = [model.graph.get_attr(f"{quantizer.target}.{part}") for part in ("factor", "zero_point")]
        bias = node.args[2] if len(node.args) > 2 else None
        statistics = (norm.args[1], norm.args[4]) if norm else (None, None)
        multiplied = model.graph.call_module(name, (*node.args[:2], *code, bias, rounded.args[0], *statistics))
    multiplied.meta = dict(node.meta)
    node.replace_all_uses_with(multiplied)
    model.graph.erase_node(node)


class _Multiplying(nn.Module):
    """Returns what a layer with a circuit returns, and the gradients of an exact one."""

    def __init__(self, made: Circuit, geometry: Geometry, weights: WeightQuantizer) -> None:
        super().__init__()
        self._circuit, self._geometry, self._weights = made, geometry, weights

    def forward(
        self,
        values: Tensor,
        rounded: Tensor,
        factor: Tensor,
        zero_point: Tensor,
        bias: Tensor | None,
        weight: Tensor,
        gain: Tensor | None = None,
        variance: Tensor | None = None,
    ) -> Tensor:
        """Return float32 [N, out, ...].

        Args:
            values: rounded activations, float32 [N, in, ...], with step `factor` and `zero_point`.
            rounded: weights rounded to integers and back, [out, ...].
            weight: the same before rounding.
            gain, variance: of the batch norm that is folded in later, [out]: where the gain is negative, the weights
                that ship have the other sign, and few circuits are symmetric.
        """
        exact = self._geometry.contract(values, rounded)
        scales = self._weights.scales(weight.detach(), gain, variance)
        found = self._through_circuit(values, rounded, factor, zero_point, scales, gain)
        result: Tensor = exact + (found - exact).detach()
        return result if bias is None else result + self._geometry.by_output(bias)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # how sums are cut into portions depends on the weights
    @torch.no_grad()
    def _through_circuit(
        self,
        values: Tensor,
        rounded: Tensor,
        factor: Tensor,
        zero_point: Tensor,
        scales: Tensor,
        gain: Tensor | None,
    ) -> Tensor:
        sign = torch.ones_like(scales) if gain is None else torch.where(gain < 0, -1.0, 1.0)
        shape = (-1, *[1] * (rounded.dim() - 1))
        codes = ((values / factor).round() + zero_point).clamp(*UINT8).to(torch.uint8)
        integers = (rounded / scales.view(shape)).round() * sign.view(shape)
        source = IntegerLayer(
            name="",
            constant="",
            zero=int(zero_point),
            weight=integers.to(torch.int8),
            bias=torch.zeros_like(scales, dtype=torch.float64),
            step=(scales * factor * sign).double(),
            geometry=self._geometry,
        )
        result: Tensor = approximate_layer(source, self._circuit)(codes)
        return result
