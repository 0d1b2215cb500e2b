"""The integers that a recipe rounds to, within those that int8 kernels know.

Fewer than 8 bits are fewer levels of the same integers: a weight of 4 bits is an int8 between -7 and 7, an activation
of 4 bits a uint8 between 0 and 15 (Krishnamoorthi 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

from winnow.deploy.overflow import LARGEST_SUM
from winnow.study.recipe import Recipe

UINT8 = (0, 255)
BIAS_RANGE = (-(2**31), 2**31 - 1)  # int32


@dataclass(frozen=True)
class Levels:
    """How finely weights and activations are rounded.

    Attributes:
        weight_bits: 2 to 8.
        activation_bits: 4 to 8.
        per_tensor: all weights of a layer share one scale; else those of an output channel.
        safe: no two products of a layer add up to more than 16 bits hold.
        away: how many steps a weight may be from the level it is rounded to: half a one if that is the nearest.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    per_tensor: bool = False
    safe: bool = False
    away: float = 0.5

    @classmethod
    def of(cls, recipe: Recipe) -> Levels:
        """Return what a recipe asks for."""
        return cls(
            weight_bits=recipe.weight_bits,
            activation_bits=recipe.activation_bits,
            per_tensor=recipe.weights == "per_tensor",
            safe=recipe.overflow == "safe",
            away=0.5 if recipe.rounding == "nearest" else 1.0,
        )

    @property
    def weights(self) -> tuple[int, int]:
        """Return the smallest and largest weight: as many below zero as above, so that products stay symmetric."""
        largest = 2 ** (self.weight_bits - 1) - 1
        return -largest, largest

    @property
    def activations(self) -> tuple[int, int]:
        """Return the smallest and largest code of an activation."""
        return 0, 2**self.activation_bits - 1

    @property
    def clipped(self) -> bool:
        """Whether codes of activations must be clipped: rounding to uint8 does it for all of its levels only."""
        return self.activations != UINT8

    @property
    def largest_pair(self) -> float | None:
        """Return what two weights of one sign may add up to, in steps before rounding; None if any two are safe."""
        limit = LARGEST_SUM // self.activations[1]
        return limit - 2 * self.away if self.safe and 2 * self.weights[1] > limit else None


FULL = Levels()
"""All of int8."""
