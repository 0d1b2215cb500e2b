"""Which multiplier each layer of a network has by a recipe, and what that means for its own operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.fx import GraphModule

from winnow.approximate.circuit import Circuit
from winnow.approximate.circuit_error import circuit_error, common_error
from winnow.approximate.circuits import circuit
from winnow.approximate.operands import operands
from winnow.errors import WinnowError
from winnow.study.assignment import Assignment
from winnow.study.multiplication import Multiplication, MultipliedLayer
from winnow.study.multiplier_cost import exact_cost, network_cost
from winnow.study.multipliers import EXACT, Multiplier, multiplier
from winnow.study.recipe import Recipe


class Multipliers:
    """The multiplier of each layer, by the name that tables have.

    Args:
        of: returns it.
    """

    def __init__(self, of: Callable[[str], Multiplier]) -> None:
        self._of = of
        self._made: dict[Multiplier, Circuit] = {}

    @classmethod
    def by(cls, recipe: Recipe, assigned: str | Path | None) -> Multipliers | None:
        """Return those of a recipe; None if it multiplies exactly.

        Args:
            assigned: multipliers.json of the network, where each layer has its own.
        """
        if not recipe.approximate:
            return None
        if not recipe.assigned:
            whole = recipe.circuit
            return cls(lambda _: whole)
        return cls.assigned(Assignment.read(assigned or "").by_layer)

    @classmethod
    def assigned(cls, by_layer: dict[str, Multiplier]) -> Multipliers:
        """Return those of an assignment; a layer that it does not know is refused."""

        def of(layer: str) -> Multiplier:
            if layer not in by_layer:
                raise WinnowError(
                    f"layer {layer} was given no multiplier, only {', '.join(by_layer)} were; delete multipliers.json "
                    "of this recipe and run again"
                )
            return by_layer[layer]

        return cls(of)

    def multiplier(self, layer: str) -> Multiplier:
        return self._of(layer)

    def circuit(self, layer: str) -> Circuit:
        """Return all products of a layer's multiplier, made once."""
        found = self._of(layer)
        if found not in self._made:
            self._made[found] = circuit(found)
        return self._made[found]


def exact_multiplier(recipe: Recipe) -> Multiplier:
    """Return the exact multiplier of a recipe, which costs less where it has fewer bits."""
    return replace(multiplier(EXACT), cost=exact_cost(recipe.activation_bits, recipe.weight_bits))


def multiplication(network: GraphModule, batches: Sequence[Tensor], multipliers: Multipliers) -> Multiplication:
    """Return how wrong the multipliers of a network are on what it multiplies, and what they cost.

    Args:
        network: approximate, with these multipliers.
        batches: calibration images, normalized float32 [N, C, H, W].
    """
    layers, parts = [], dict[str, tuple[Circuit, np.ndarray]]()
    for own in operands(network, batches):
        name, made = multipliers.multiplier(own.layer).name, multipliers.circuit(own.layer)
        layers.append(MultipliedLayer(own.layer, name, own.macs, circuit_error(made, own.pairs)))
        before = parts[name][1] if name in parts else np.zeros_like(own.pairs)
        parts[name] = made, before + own.macs * own.pairs
    return Multiplication(
        layers=tuple(layers),
        error=common_error(list(parts.values())),
        cost=network_cost(
            {layer.layer: layer.macs for layer in layers},
            {layer.layer: multipliers.multiplier(layer.layer) for layer in layers},
        ),
        images=sum(map(len, batches)),
    )
