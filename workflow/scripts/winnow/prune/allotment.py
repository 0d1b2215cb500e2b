"""How much of each layer goes, by what the layer bears alone.

Each layer is pruned alone, at growing shares, before anything is trained again. What that adds to the loss is taken to
add up over layers, and as much as is requested goes where it adds least.
Source: sensitivity of single layers says how much each may lose (Han et al. 2015; Li et al. 2017).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

_SHARES = (0.25, 0.5, 0.75, 0.875, 0.9375, 0.96875, 0.984375)  # of what a layer has
_MOST_LOSS = 1e3  # nats; more, or no number, is as bad

Losses = Mapping[str, Sequence[tuple[int, float]]]
"""By layer: how many of its entries went, from 0 to as many as may, and the loss."""


def probed_counts(living: int, floor: int) -> list[int]:
    """Return how many entries of a layer go in the trials: 0, some shares, and all but its floor."""
    most = living - floor
    return sorted({0, most, *(round(share * living) for share in _SHARES if round(share * living) < most)})


def least_harmful(losses: Losses, count: int) -> dict[str, int]:
    """Divide what goes among layers so that the sum of what each adds to the loss alone is least.

    Between two trials the loss is taken to change evenly, and no slower the more has gone (the convex hull of what was
    measured); a loss that falls is chance.

    Args:
        count: of entries that go from all layers together; no more than may.

    Returns:
        By layer; their sum is `count`. Where layers suffer the same, they lose the same share.
    """
    steps = sorted((slope, length, layer) for layer, trials in losses.items() for slope, length in _steps(trials))
    exact = dict.fromkeys(losses, 0.0)
    left = float(count)
    for _, equal in groupby(steps, key=lambda step: step[0]):
        lengths = [(layer, length) for _, length, layer in equal]
        share = min(1.0, left / sum(length for _, length in lengths))
        for layer, length in lengths:
            exact[layer] += share * length
            left -= share * length
    most = np.array([trials[-1][0] for trials in losses.values()])
    return dict(zip(losses, _rounded(np.array([*exact.values()]), most, count), strict=True))


def _steps(trials: Sequence[tuple[int, float]]) -> Iterator[tuple[float, int]]:
    """Yield what an entry adds to the loss, ever more, and how many add as much: the lower hull of the trials."""
    counts = [removed for removed, _ in trials]
    losses = np.nan_to_num([loss for _, loss in trials], nan=_MOST_LOSS).clip(max=_MOST_LOSS)
    harm = np.maximum.accumulate((losses - losses[0]).clip(min=0))
    place = 0
    while place < len(counts) - 1:
        slopes = [
            (harm[later] - harm[place]) / (counts[later] - counts[place]) for later in range(place + 1, len(counts))
        ]
        last = place + 1 + max(index for index, slope in enumerate(slopes) if slope == min(slopes))
        yield float(min(slopes)), counts[last] - counts[place]
        place = last


def _rounded(exact: np.ndarray, most: np.ndarray, count: int) -> list[int]:
    """Round to whole numbers, none above its most, whose sum is `count`, by largest remainders."""
    found = np.minimum(np.floor(exact + 1e-9), most).astype(int)
    while missing := count - int(found.sum()):
        step = 1 if missing > 0 else -1
        movable = np.flatnonzero(found < most if step > 0 else found > 0)
        order = movable[np.argsort(-step * (exact - found)[movable], kind="stable")]
        found[order[: abs(missing)]] += step
    return [int(value) for value in found]
