"""AdaRound: each weight is rounded up or down so that its layer gives what it gives in float (Nagel et al. 2020).

The squared error of a layer is a quadratic form of its weights, so the images enter once, as second moments of the
activations: what follows needs neither batches nor random numbers. As published, a soft choice between up and down is
optimized for each weight, the later the more it is drawn to one of them; inputs are those that the rounded layers
before give, so that errors of these are made up for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from winnow.quantize.levels import Levels
from winnow.quantize.walk import Meeting
from winnow.quantize.weights import IntegerWeights, groups_of, integer_weights, weight_scales

_STEPS = 600
_RATE = 0.02
_WARM = 0.2  # share of the steps in which nothing draws to a choice
_SHARPNESS = (20.0, 2.0)  # of what draws, from the first step to the last
_PULL = 0.1  # of what draws, where the error of rounding to the nearest has 1 for each weight
_LOW, _HIGH = -0.1, 1.1  # of the stretched sigmoid, so that 0 and 1 are reached
_ROWS = 8  # images that are unfolded at once


@dataclass(frozen=True)
class _Moments:
    """Of what each group of a layer reads: G = E[x x^T], [groups, in, in], and E[e x^T], [groups, out, in], where e is
    what the unrounded weights miss of the output.

    Attributes:
        inputs: factors whose product is G: G itself, or, if the images have few places, x^T and x of all of them.
    """

    inputs: tuple[Tensor, ...]
    errors: Tensor

    def times_inputs(self, change: Tensor) -> Tensor:
        """Multiply a change of the weights, [groups, out, in], by G."""
        for factor in self.inputs:
            change = change @ factor
        return change

    def error(self, change: Tensor) -> Tensor:
        """Return how much a change of the weights, [groups, out, in], adds to the squared error: [groups, out]."""
        return ((self.times_inputs(change) - 2 * self.errors) * change).sum(2)


@torch.enable_grad()
def rounded(meeting: Meeting, levels: Levels) -> IntegerWeights:
    """Choose the integers of a layer; no channel is worse than with the nearest ones."""
    weights = meeting.weights
    scales = weight_scales(weights.weight, weights.bias, meeting.scale, levels)
    groups = groups_of(meeting.node)
    shape = (groups, len(weights.weight) // groups, -1)
    steps = scales.view(groups, -1, 1)
    codes = _chosen(weights.weight.reshape(shape) / steps, steps, _moments(meeting, groups), levels)
    return integer_weights(weights, codes.reshape(weights.weight.shape), scales, meeting.scale)


def _chosen(exact: Tensor, steps: Tensor, moments: _Moments, levels: Levels) -> Tensor:
    """Return integers for weights in units of their steps, [groups, out, in]."""
    nearest, below = exact.round().clamp(*levels.weights), exact.floor()
    rounding = (nearest - exact) * steps
    worst = moments.error(rounding)
    unit = (moments.times_inputs(rounding) * rounding).sum(2, keepdim=True)
    unit = unit.clamp(min=torch.finfo(unit.dtype).tiny) / exact.shape[2]
    start = ((exact - below - _LOW) / (_HIGH - _LOW)).clamp(1e-4, 1 - 1e-4)
    choice = start.logit().requires_grad_()
    optimizer = torch.optim.Adam([choice], lr=_RATE)
    for step in range(_STEPS):
        up = (choice.sigmoid() * (_HIGH - _LOW) + _LOW).clamp(0, 1)
        change = ((below + up).clamp(*levels.weights) - exact).detach() * steps
        slope = 2 * (moments.times_inputs(change) - moments.errors) * steps / unit
        optimizer.zero_grad()
        torch.autograd.backward([up, _drawn(up, step / _STEPS)], [slope, None])
        optimizer.step()
    with torch.no_grad():
        codes = (below + (choice >= 0)).clamp(*levels.weights)
        better = moments.error((codes - exact) * steps) < worst
    return torch.where(better.unsqueeze(2), codes, nearest)


def _drawn(up: Tensor, progress: float) -> Tensor:
    """Return the price of weights that are between up and down, at a progress between 0 and 1."""
    if progress < _WARM:
        return up.sum() * 0
    first, last = _SHARPNESS
    left = 1 - (progress - _WARM) / (1 - _WARM)
    sharpness = last + (first - last) * left
    return _PULL * (1 - (2 * up - 1).abs().pow(sharpness)).sum()


def _moments(meeting: Meeting, groups: int) -> _Moments:
    weight, bias = meeting.weights.weight, meeting.weights.bias
    size = weight[0].numel()
    errors = torch.zeros(groups, len(weight) // groups, size)
    count = sum(wanted.numel() // wanted.shape[1] for wanted in meeting.wanted)
    few = 2 * count < size
    kept: list[Tensor] = []
    inputs = torch.zeros(groups, 0 if few else size, size)
    with torch.no_grad():
        for value, wanted in zip(meeting.inputs, meeting.wanted, strict=True):
            missed = wanted - meeting.output(value, weight, bias)
            for part, error in zip(value.split(_ROWS), missed.split(_ROWS), strict=True):
                rows = _rows(part, meeting.node, groups, weight.shape[2:])
                error = error.transpose(0, 1).reshape(groups, len(weight) // groups, -1)
                errors += error @ rows
                if few:
                    kept.append(rows)
                else:
                    inputs += rows.transpose(1, 2) @ rows
    if few:
        rows = torch.cat(kept, 1)
        return _Moments((rows.transpose(1, 2), rows / count), errors / count)
    return _Moments((inputs / count,), errors / count)


def _rows(value: Tensor, node: Node, groups: int, kernel: Sequence[int]) -> Tensor:
    """Return what each place of the output is computed from: [groups, places, in / groups * kernel].

    Args:
        value: [N, in, ...], of a convolution, or [N, in].
        kernel: the sizes of one, empty for a linear.
    """
    rank = len(kernel)
    strides, paddings, dilations = (_sizes(node, place, rank, default) for place, default in ((3, 1), (4, 0), (5, 1)))
    value = functional.pad(value, [padding for padding in reversed(paddings) for _ in range(2)])
    for place, size in enumerate(kernel):
        value = value.unfold(2 + place, dilations[place] * (size - 1) + 1, strides[place])[..., :: dilations[place]]
    count, channels = value.shape[:2]
    value = value.reshape(count, groups, channels // groups, *value.shape[2:])
    places = range(3, 3 + rank)
    rows = value.permute(1, 0, *places, 2, *range(3 + rank, 3 + 2 * rank))
    return rows.reshape(groups, -1, channels // groups * math.prod(kernel))


def _sizes(node: Node, place: int, rank: int, default: int) -> list[int]:
    """Return a number for each dimension of a kernel that a convolution takes at a place."""
    given = node.args[place] if place < len(node.args) else default
    sizes = [int(size) for size in given] if isinstance(given, (list, tuple)) else [int(given)]  # type: ignore[arg-type]
    return sizes * rank if len(sizes) == 1 else sizes
