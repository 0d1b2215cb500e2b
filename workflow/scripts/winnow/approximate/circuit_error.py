"""How wrong a multiplier is, over all pairs of operands or over those that a network multiplies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from winnow.approximate.circuit import OPERANDS, Circuit
from winnow.study.multiplication import CircuitError


def circuit_error(circuit: Circuit, pairs: np.ndarray | None = None) -> CircuitError:
    """Return how wrong a circuit is.

    Args:
        pairs: [256, 256], how often each pair of activation and weight is multiplied (`operands.Operands`); None to
            count every pair once, as the literature does.
    """
    return common_error([(circuit, np.full((256, 256), 1.0) if pairs is None else pairs)])


def common_error(parts: Sequence[tuple[Circuit, np.ndarray]]) -> CircuitError:
    """Return how wrong several circuits are together, each as often as its own pairs are multiplied.

    Args:
        parts: circuits with their pairs, as `circuit_error` takes them.
    """
    exact = np.multiply.outer(OPERANDS, OPERANDS)
    sizes, countable = np.maximum(np.abs(exact), 1), exact != 0
    total = float(sum(pairs.sum() for _, pairs in parts))
    counted = float(sum(pairs[countable].sum() for _, pairs in parts))
    mean = relative = bias = 0.0
    worst = 0
    for circuit, pairs in parts:
        share, difference = pairs / total, circuit.table - exact
        mean += float((np.abs(difference) * share).sum())
        bias += float((difference * share).sum())
        relative += float((np.abs(difference) / sizes * share)[countable].sum())
        worst = max(worst, int(np.abs(difference)[share > 0].max()))
    return CircuitError(mean=mean, mean_relative=relative * total / counted if counted else 0.0, worst=worst, bias=bias)
