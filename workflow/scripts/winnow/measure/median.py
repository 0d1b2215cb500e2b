"""How well a median is known, without assuming a distribution (David and Nagaraja 2003, section 7.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST_ROUNDS = 6
"""So many values, at least, for an interval at `CONFIDENCE`."""
CONFIDENCE = 0.95


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return an interval that holds the median of a population with at least `CONFIDENCE`, or None of too few values.

    It lies between two of the sorted values, the k-th from either end, for the largest k that is sure enough.

    Args:
        values: drawn independently of each other, as medians of rounds are and single calls are not.
    """
    count, ordered = len(values), np.sort(values)
    outside, k = 0.0, 0
    while (outside := outside + 2 * math.comb(count, k) / 2**count) <= 1 - CONFIDENCE:
        k += 1
    return (float(ordered[k - 1]), float(ordered[count - k])) if k else None
