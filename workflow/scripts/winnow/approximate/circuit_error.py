"""How wrong a multiplier is, over all pairs of operands or over those that a network multiplies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow.approximate.circuit import OPERANDS, Circuit


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


def circuit_error(circuit: Circuit, pairs: np.ndarray | None = None) -> CircuitError:
    """Return how wrong a circuit is.

    Args:
        pairs: [256, 256], how often each pair of activation and weight is multiplied (`operands.Operands`); None to
            count every pair once, as the literature does.
    """
    share = np.full((256, 256), 1.0) if pairs is None else pairs.astype(np.float64)
    share = share / share.sum()
    exact = np.multiply.outer(OPERANDS, OPERANDS)
    difference = circuit.table - exact
    size, countable = np.abs(difference), exact != 0
    relative = (size / np.maximum(np.abs(exact), 1) * share)[countable].sum()
    return CircuitError(
        mean=float((size * share).sum()),
        mean_relative=float(relative / share[countable].sum()) if share[countable].any() else 0.0,
        worst=int(size[share > 0].max()),
        bias=float((difference * share).sum()),
    )
