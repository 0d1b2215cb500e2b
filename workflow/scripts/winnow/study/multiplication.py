"""What a network multiplies with, layer by layer: how wrong it is on the network's own operands, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.study.multipliers import Cost

MULTIPLICATION = "multiplication"
"""Its key in the metadata of a file."""


@dataclass(frozen=True)
class CircuitError:
    """Differences between the products of a circuit and the exact ones.

    Attributes:
        mean: mean absolute difference.
        mean_relative: mean of the absolute difference as a share of the exact product, over pairs where that is not 0.
        worst: the largest absolute difference.
        bias: mean difference; what it adds up to over a sum is taken out by correction.
    """

    mean: float
    mean_relative: float
    worst: int
    bias: float


@dataclass(frozen=True)
class MultipliedLayer:
    """One layer.

    Attributes:
        multiplier: the name of its circuit.
        macs: multiply-accumulates for one image, padding counted as multiplied.
        error: over the pairs of operands that it multiplies.
    """

    layer: str
    multiplier: str
    macs: int
    error: CircuitError


@dataclass(frozen=True)
class Multiplication:
    """All layers on integers of a network, on calibration images.

    Attributes:
        error: over all pairs of operands that the network multiplies.
        cost: mean over what the layers multiply; None where that of a circuit is not known.
        images: how many the operands were counted on.
    """

    layers: tuple[MultipliedLayer, ...]
    error: CircuitError
    cost: Cost | None
    images: int
