"""Ranges from the values that flow through a float network: what of their tails is worth the levels it takes.

histogram: least expected squared error; minmax: all that was seen; percentile: all but the rarest values of each side
(Wu et al. 2020); entropy: the range whose rounded distribution says most of the true one (Migacz 2017); mean: the mean
of the extremes of each image, as NNCF does it, so that a few images whose values are many times those of all others do
not take the levels of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.ao.quantization.observer import HistogramObserver, MinMaxObserver

from winnow.quantize.levels import Levels
from winnow.quantize.ranges import Scale

_RAREST = 1e-4  # share of the values that are beyond a percentile, on each side
_BINS = 2048
_CANDIDATES = 128  # ranges that are compared by entropy
_DOUBT = 1e-4  # share of a rounded distribution that is everywhere, so that nothing is impossible


class Observer(Protocol):
    """Collects the range of one value over calibration batches."""

    def __init__(self, levels: Levels) -> None: ...

    def see(self, value: Tensor) -> None:
        """Take notice of a value: float32 of any shape."""

    def scale(self) -> Scale:
        """Return what the value is rounded by."""


class _Histogram:
    def __init__(self, levels: Levels) -> None:
        self._observer = HistogramObserver(**_affine(levels))
        self._observer.dst_nbins = levels.activations[1] + 1  # it would search for the best of 256 levels

    def see(self, value: Tensor) -> None:
        self._observer(value)

    def scale(self) -> Scale:
        return _scale(self._observer)


class _MinMax:
    def __init__(self, levels: Levels) -> None:
        self._observer = MinMaxObserver(**_affine(levels))

    def see(self, value: Tensor) -> None:
        self._observer(value)

    def scale(self) -> Scale:
        return _scale(self._observer)


class _Mean:
    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self._images, self._low, self._high = 0, 0.0, 0.0  # how many, and sums of their extremes

    def see(self, value: Tensor) -> None:
        low, high = value.detach().flatten(1).aminmax(dim=1)
        self._low += float(low.double().sum())
        self._high += float(high.double().sum())
        self._images += len(value)

    def scale(self) -> Scale:
        return Scale.of(self._low / self._images, self._high / self._images, self._levels)


def _affine(levels: Levels) -> dict[str, Any]:
    low, high = levels.activations
    return {"dtype": torch.uint8, "quant_min": low, "quant_max": high, "qscheme": torch.per_tensor_affine}


def _scale(observer: HistogramObserver | MinMaxObserver) -> Scale:
    scale, zero_point = observer.calculate_qparams()
    return Scale(float(scale), int(zero_point))


class _Counts:
    """How many values there are of each magnitude, below zero and above; exact zeros apart.

    Bins have one width, a power of two, which doubles when a value lies beyond the last one: two become one, and no
    count is guessed. So it is the same whatever the batches and their order.
    """

    def __init__(self) -> None:
        self.sides = np.zeros((2, _BINS))  # below zero, above
        self.zeros = 0
        self.width = 0.0

    def add(self, value: Tensor) -> None:
        numbers = value.detach().flatten()
        numbers = numbers[numbers.isfinite()]
        self.zeros += int((numbers == 0).sum())
        largest = float(numbers.abs().amax()) if len(numbers) else 0.0
        if not largest:
            return
        self.width = self.width or 2.0 ** math.ceil(math.log2(largest / _BINS))
        while largest > _BINS * self.width:
            self.width *= 2
            merged = self.sides.reshape(2, _BINS // 2, 2).sum(2)
            self.sides = np.concatenate([merged, np.zeros_like(merged)], axis=1)
        for side, part in enumerate((-numbers[numbers < 0], numbers[numbers > 0])):
            places = (part / self.width).long().clamp(max=_BINS - 1)
            self.sides[side] += torch.bincount(places, minlength=_BINS).numpy()

    def range_within(self, bins: int) -> tuple[float, float]:
        """Return the lowest and the highest value of at most this many bins of magnitude; 0 where there is none."""
        below, above = (int(side[:bins].nonzero()[0].max(initial=-1)) + 1 for side in self.sides)
        return -below * self.width, above * self.width


class _Percentile:
    def __init__(self, levels: Levels) -> None:
        self._levels, self._counts = levels, _Counts()

    def see(self, value: Tensor) -> None:
        self._counts.add(value)

    def scale(self) -> Scale:
        counts = self._counts
        allowed = _RAREST * (counts.sides.sum() + counts.zeros)
        beyond = np.cumsum(counts.sides[:, ::-1], axis=1)[:, ::-1]  # as many lie in a bin or further out
        low, high = (int((side > allowed).sum()) * counts.width for side in beyond)
        return Scale.of(-low, high, self._levels)


class _Entropy:
    def __init__(self, levels: Levels) -> None:
        self._levels, self._counts = levels, _Counts()

    def see(self, value: Tensor) -> None:
        self._counts.add(value)

    def scale(self) -> Scale:
        counts, magnitudes = self._counts, self._counts.sides.sum(0)
        levels = self._levels.activations[1] + 1
        if counts.sides.any(1).all():  # each side has half of the levels
            levels //= 2
        last = int(magnitudes.nonzero()[0].max(initial=0)) + 1
        ranges = np.unique(np.linspace(min(levels, last), last, _CANDIDATES).round().astype(int))
        losses = [_divergence(magnitudes, int(bins), levels) for bins in ranges]
        return Scale.of(*counts.range_within(int(ranges[int(np.argmin(losses))])), self._levels)


def _divergence(counts: np.ndarray, bins: int, levels: int) -> float:
    """Return how much a distribution loses in a range: Kullback-Leibler divergence from the rounded one, in nats.

    What lies beyond the range is counted in its last bin; the rounded distribution spreads the values of each level
    evenly over the bins that have any, and does not know those beyond.

    Args:
        counts: of each bin of magnitude, from zero on, float64.
        bins: in the range, of which `levels` are made.
    """
    inside = counts[:bins]
    true = inside.copy()
    true[-1] += counts[bins:].sum()
    level = np.arange(bins) * levels // bins
    filled = inside > 0
    values = np.bincount(level, weights=inside, minlength=levels)
    shares = np.bincount(level, weights=filled, minlength=levels)
    rounded = np.where(filled, (values / np.maximum(shares, 1))[level], 0)
    if not rounded.sum():
        return float("inf")
    p, q = true / true.sum(), (1 - _DOUBT) * rounded / rounded.sum() + _DOUBT / bins
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


OBSERVERS: Mapping[str, type[Observer]] = {
    "histogram": _Histogram,
    "minmax": _MinMax,
    "mean": _Mean,
    "percentile": _Percentile,
    "entropy": _Entropy,
}
