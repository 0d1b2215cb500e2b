"""Which images stand for all of a split where a few are enough."""

from __future__ import annotations

import numpy as np


def sample(count: int, most: int) -> np.ndarray:
    """Draw `most` of `count` images, or all if there are no more, the same each time, in stored order.

    The first ones would not do: class folders lie one after another, so that they are of one class.

    Returns:
        Places, int64 [min(count, most)].
    """
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])
