"""Cross-layer equalization: what one layer multiplies a channel by, the next divides it by (Nagel et al. 2019).

Between two layers that only operators stand between which commute with positive factors, each channel may have any
scale. Chosen is the one with which the channel takes as much of the range of the weights in front of it as of those
behind it; so channels of small weights are not lost among large ones, and activations share one range.
A ReLU6 commutes only where it does not clip: a channel that it clips on calibration images keeps its scale, and no
other gets one that lets it. So what the float network computes stays as it is.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from winnow.capture.fx_graphs import (
    AVERAGE_POOLS,
    MAX_POOLS,
    attribute_of,
    node_argument,
    optional_argument,
    tensor_of,
)
from winnow.quantize.int8 import DROPOUT, PADS, Layer, is_relu, passes, plan_of
from winnow.quantize.watching import watch
from winnow.quantize.weights import FloatWeights, float_weights, groups_of

aten = torch.ops.aten
_ROUNDS = 40
_SETTLED = 1e-3  # natural logarithm of the largest factor of a round
_POOLING = (*MAX_POOLS, *AVERAGE_POOLS)
_RESHAPING = (aten.flatten.using_ints, aten.view.default, aten.reshape.default, aten.squeeze.dim, aten.squeeze.dims)


@dataclass(frozen=True)
class _Pair:
    """Two layers, by their operators, that share channels.

    Attributes:
        repeats: how many neighbouring inputs of the second layer are one channel, as after flattening.
        clips: the clips between them, with their bounds.
    """

    first: str
    second: str
    repeats: int
    clips: tuple[tuple[str, float], ...]


def equalized(graph_module: GraphModule, batches: Iterable[Tensor]) -> GraphModule:
    """Return a captured network whose neighbouring layers share the scales of their channels; it computes the same.

    Args:
        graph_module: captured, in inference mode; it is not changed.
        batches: normalized float32 [N, C, H, W], to see what is clipped.
    """
    module = copy.deepcopy(graph_module)
    nodes = {node.name: node for node in module.graph.nodes}
    layers = {layer.operator: layer for layer in plan_of(module).layers if _is_alone(module, nodes, layer)}
    pairs = [pair for layer in layers.values() if (pair := _pair(nodes, layer, layers)) is not None]
    used = {name for pair in pairs for name in (pair.first, pair.second)}
    weights = {
        name: _Weights(float_weights(module, nodes, layers[name]), nodes[name]) for name in layers if name in used
    }
    room = _room(module, nodes, pairs, batches)
    for _ in range(_ROUNDS):
        changes = [_equalize(weights[pair.first], weights[pair.second], pair.repeats, room[pair]) for pair in pairs]
        if max(changes, default=0.0) < _SETTLED:
            break
    for name, values in weights.items():
        _write(module, nodes, layers[name], values)
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()
    return module


def _is_alone(module: GraphModule, nodes: Mapping[str, Node], layer: Layer) -> bool:
    """Whether the weights of a layer are parameters that no other node reads."""
    readers = Counter(node.target for node in module.graph.nodes if node.op == "get_attr" for _ in node.users)
    operator = nodes[layer.operator]
    constants = [node_argument(operator, 1), optional_argument(operator, 2)]
    return all(
        constant.op == "get_attr" and readers[constant.target] == 1 for constant in constants if constant is not None
    )


def _pair(nodes: Mapping[str, Node], layer: Layer, layers: Mapping[str, Layer]) -> _Pair | None:
    """Follow the output of a layer to the next one, through what commutes with factors of its channels."""
    node = nodes[layer.norm or layer.operator]
    channels, clips = tensor_of(node).shape[1], list[tuple[str, float]]()
    while len(node.users) == 1:
        reader = next(iter(node.users))
        if reader.name in layers and reader.args[0] is node:
            inputs = tensor_of(node).shape[1]
            return (
                _Pair(layer.operator, reader.name, inputs // channels, tuple(clips)) if inputs % channels == 0 else None
            )
        if not _commutes(reader):
            return None
        if is_relu(reader) and (bound := _bound(reader)) is not None:
            clips.append((reader.name, bound))
        node = reader
    return None


def _commutes(node: Node) -> bool:
    """Whether a factor of a channel in front of an operator is that factor behind it."""
    if node.target in _RESHAPING:
        before, after = (tensor_of(value).shape for value in (node_argument(node, 0), node))
        return after[1] == before[1] or (len(after) == 2 and before[2:].numel() * before[1] == after[1])
    if node.target == aten.mean.dim:
        rank = tensor_of(node_argument(node, 0)).dim()
        dimensions = node.args[1] if isinstance(node.args[1], (list, tuple)) else ()
        return bool(dimensions) and all(isinstance(size, int) and size % rank > 1 for size in dimensions)
    return node.target in _POOLING or node.target in DROPOUT or is_relu(node) or (node.target in PADS and passes(node))


def _bound(node: Node) -> float | None:
    """Return where a ReLU6 or the like clips; None if it does not."""
    if node.target == aten.relu6.default:
        return 6.0
    bound = node.args[2] if len(node.args) > 2 else None
    return float(bound) if isinstance(bound, (int, float)) else None


def _room(
    module: GraphModule, nodes: Mapping[str, Node], pairs: Iterable[_Pair], batches: Iterable[Tensor]
) -> dict[_Pair, Tensor]:
    """Return by how much each channel of a pair may be divided at least, so that no clip touches it.

    It is infinite where a clip does already: such a channel keeps its scale.
    """
    pairs = list(pairs)
    clipped = {node_argument(nodes[name], 0).name for pair in pairs for name, _ in pair.clips}
    largest = {name: _Largest() for name in clipped}
    if clipped:
        watch(module, batches, {name: seen.see for name, seen in largest.items()})
    room = {}
    for pair in pairs:
        least = torch.zeros(tensor_of(nodes[pair.first]).shape[1], dtype=torch.float64)
        for name, bound in pair.clips:
            share = largest[node_argument(nodes[name], 0).name].value / bound
            least = torch.maximum(least, torch.where(share > 1, torch.inf, share))
        room[pair] = least
    return room


class _Largest:
    """The largest value that each channel has had, at least 0: float64 [channels]."""

    value: Tensor = torch.zeros(1, dtype=torch.float64)

    def see(self, value: Tensor) -> None:
        self.value = torch.maximum(self.value, value.double().transpose(0, 1).flatten(1).amax(1))


class _Weights:
    """The weights of a layer while they are equalized, float64."""

    def __init__(self, weights: FloatWeights, node: Node) -> None:
        self.name = weights.name
        self.weight = weights.weight.double()
        self.bias = None if weights.bias is None else weights.bias.double()
        self.groups = groups_of(node)

    @property
    def by_input(self) -> Tensor:
        """Return a view [groups, out / groups, in / groups, kernel]."""
        return self.weight.view(self.groups, len(self.weight) // self.groups, self.weight.shape[1], -1)


def _equalize(first: _Weights, second: _Weights, repeats: int, room: Tensor) -> float:
    """Scale the channels between two layers, in place; return the logarithm of the largest factor.

    Args:
        room: see `_room`, [channels]; it is kept up to date.
    """
    before = first.weight.abs().flatten(1).amax(1)
    behind = second.by_input.abs().amax((1, 3)).view(-1, repeats).amax(1)
    factors = (before / behind).sqrt()
    usable = (before > 0) & (behind > 0) & room.isfinite()
    factors = torch.where(usable, torch.maximum(factors, room), 1.0)
    room /= factors
    first.weight /= factors.view(-1, *[1] * (first.weight.dim() - 1))
    if first.bias is not None:
        first.bias /= factors
    second.by_input.mul_(factors.repeat_interleave(repeats).view(second.groups, 1, -1, 1))
    return float(factors.log().abs().amax())


def _write(module: GraphModule, nodes: Mapping[str, Node], layer: Layer, values: _Weights) -> None:
    """Put the weights of a layer, with its norm, into the graph, under the names that they have."""
    node = nodes[layer.operator]
    owner, _, _ = attribute_of(node_argument(node, 1)).rpartition(".")
    arguments = [*node.args, *[None] * (3 - len(node.args))]
    for place, name, value in ((1, "weight", values.weight), (2, "bias", values.bias)):
        if value is None:
            continue
        read = arguments[place]
        target = attribute_of(read) if isinstance(read, Node) else f"{owner}.{name}".removeprefix(".")
        parent, _, attribute = target.rpartition(".")
        parameter = nn.Parameter(value.float(), requires_grad=False)
        setattr(module.get_submodule(parent), attribute, parameter)
        if not isinstance(read, Node):
            with module.graph.inserting_before(node):
                arguments[place] = module.graph.get_attr(target)
        arguments[place].meta["val"] = parameter  # type: ignore[union-attr]
    node.args = tuple(arguments)
    if layer.norm:
        nodes[layer.norm].replace_all_uses_with(node)
        module.graph.erase_node(nodes[layer.norm])
