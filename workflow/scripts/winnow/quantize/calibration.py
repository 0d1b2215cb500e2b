"""What calibration images say of a network, once for all the ways in which it may then be quantized."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain

from torch import Tensor, nn
from torch.fx import GraphModule

from winnow.capture.exported import captured
from winnow.capture.fx_graphs import node_argument
from winnow.deploy.graphs import base_name
from winnow.deploy.operations import layer_name
from winnow.errors import WinnowError
from winnow.quantize import adaround, bias_correction
from winnow.quantize.equalization import equalized
from winnow.quantize.int8 import plan_of
from winnow.quantize.levels import Levels
from winnow.quantize.lowering import lowered
from winnow.quantize.observers import OBSERVERS, Observer
from winnow.quantize.walk import Meeting, walk
from winnow.quantize.watching import watch
from winnow.quantize.weights import IntegerWeights, name_of, nearest
from winnow.study.recipe import Recipe

_WALKED = 256  # images whose values are held in memory at one depth of the network

ROUNDINGS: Mapping[str, Callable[[Meeting, Levels], IntegerWeights]] = {
    "nearest": lambda meeting, levels: nearest(meeting.weights, meeting.scale, levels),
    "adaround": adaround.rounded,
}


class Calibration:
    """A captured network with the ranges of its values, ready to be quantized by one recipe.

    Ranges are those of the float network, so they are the same whatever layers stay in float.

    Args:
        model: fp32; it is not changed.
        batches: normalized float32 [N, C, H, W], at least one, the first of at least 2 images. They are read once.
        recipe: of method `ptq`; its `keep_float` is not looked at.
        sparing: layers may stay in float, so that ranges are needed of what their readers read from them.

    Attributes:
        graph_module: the captured network, equalized if the recipe says so.
        operators: its layers that can compute on integers, by the names that tables give them.
        examples: a few calibration images.
    """

    def __init__(self, model: nn.Module, batches: Iterable[Tensor], recipe: Recipe, *, sparing: bool = False) -> None:
        self.recipe, self.levels = recipe, Levels.of(recipe)
        batches = iter(batches)
        head = [next(batches)]
        walks = recipe.correction != "none" or recipe.rounding != "nearest"
        while walks and sum(map(len, head)) < _WALKED and (batch := next(batches, None)) is not None:
            head.append(batch)
        self.graph_module = captured(model, head[0])
        if recipe.correction == "equalization":
            self.graph_module = equalized(self.graph_module, head)
        self._head, self.examples = head, head[0]
        self.operators = layer_operators(self.graph_module)
        roots = set(plan_of(self.graph_module).roots)
        if sparing:
            nodes = {node.name: node for node in self.graph_module.graph.nodes}
            roots |= {node_argument(nodes[operator], 0).name for operator in self.operators.values()}
        observers: dict[str, Observer] = {root: OBSERVERS[recipe.observer](self.levels) for root in sorted(roots)}
        watch(self.graph_module, chain(head, batches), {root: seen.see for root, seen in observers.items()})
        self._scales = {root: seen.scale() for root, seen in observers.items()}

    def quantized(self, spared: Collection[str] = (), *, nearest_only: bool = False) -> GraphModule:
        """Return the int8 module.

        Args:
            spared: layers that stay in float, by their names.
            nearest_only: round weights to the nearest, without correction of biases: quickly, to compare.

        Raises:
            WinnowError: there is no layer of a name.
        """
        plan = plan_of(self.graph_module, self._named(spared))
        choose = None if nearest_only else self._choice()
        weights = None
        if choose is not None:
            weights = walk(self.graph_module, plan, self._scales, self.levels, self._head, choose)
        return lowered(self.graph_module, plan, self._scales, self.levels, weights)

    def _choice(self) -> Callable[[Meeting], IntegerWeights] | None:
        """Return what chooses the integers of a layer; None where no images are needed for it."""
        rounding, correct, levels = ROUNDINGS[self.recipe.rounding], self.recipe.correction == "bias", self.levels
        if correct:
            return lambda meeting: bias_correction.corrected(meeting, rounding(meeting, levels))
        return None if self.recipe.rounding == "nearest" else lambda meeting: rounding(meeting, levels)

    def _named(self, layers: Collection[str]) -> set[str]:
        """Return the operators of layers.

        Raises:
            WinnowError: there is no layer of this name.
        """
        for layer in layers:
            if layer not in self.operators:
                near = difflib.get_close_matches(layer, self.operators, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join([*self.operators][:10])}"
                raise WinnowError(f"{layer!r} is no layer that could be quantized; {hint}")
        return {self.operators[layer] for layer in layers}


def layer_operators(graph_module: GraphModule) -> dict[str, str]:
    """Return the layers that can compute on integers, by the names that tables give them, with their operators."""
    nodes = {node.name: node for node in graph_module.graph.nodes}
    uses: Counter[str] = Counter()
    operators = {}
    for layer in plan_of(graph_module).layers:
        name = base_name(name_of(nodes[layer.operator]))
        uses[name] += 1
        operators[layer_name(name, uses[name])] = layer.operator
    return operators
