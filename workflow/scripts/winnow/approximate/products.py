"""Sums of a multiplier's products, exactly: as one ordinary convolution where it has few terms, else from its table.

Every product is a whole number, and so are all sums. float32 holds whole numbers up to 2^24, so a sum is exact in
whatever order it is added up as long as the sizes of its products add up to no more; channels are summed in portions
for which this holds. What is added to each activation's product is minus that of the zero point with the same weight:
    sum over k of M(a_k, w_k) - M(zero, w_k)
Zero points go through the same multiplier, or every activation that a ReLU cut off would add an error of its own, and
padding, which is the zero point, adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.approximate.circuit import Circuit, Terms
from winnow.approximate.layers import IntegerLayer

_CODES = 256
_EXACT = 2.0**24  # float32 holds every whole number up to here
_ROWS = 1 << 22  # numbers of a look-up table that are made at once, float32
_LOOKED_UP = 1 << 22  # products that are looked up at once


class ApproximateLayer(nn.Module):
    """A convolution or linear on integers that multiplies with a circuit.

    Attributes:
        source: the integers it stands for.
        bias: float64 [out], whole numbers in units of `step`; correction adds to it.
        step: float64 [out], what one unit of a sum is worth.
        arithmetic: in which numbers it convolves; None if it looks every product up.
    """

    bias: Tensor
    step: Tensor
    arithmetic: torch.dtype | None = None

    def __init__(self, source: IntegerLayer) -> None:
        super().__init__()
        self.source = source
        self.register_buffer("bias", source.bias.clone())
        self.register_buffer("step", source.step.clone())

    def sums(self, codes: Tensor) -> Tensor:
        """Multiply and add up.

        Args:
            codes: uint8 [N, in, ...], each the activation plus 128; a linear takes [rows, in].

        Returns:
            float64 [N, out, ...] or [rows, out], whole numbers without the bias.
        """
        raise NotImplementedError

    def forward(self, codes: Tensor) -> Tensor:
        """Return what the layer returns in float, float32 in the shape of `sums`."""
        shape = self.source.geometry.by_output
        return ((self.sums(codes) + shape(self.bias)) * shape(self.step)).float()


def approximate_layer(source: IntegerLayer, circuit: Circuit) -> ApproximateLayer:
    """Return a layer on the device of its source, in which products are those of a circuit."""
    if circuit.terms is not None:
        return _ByTerms(source, circuit.terms)
    return _ByTable(source, circuit.table)


@contextmanager
def _plain_arithmetic(device: torch.device) -> Iterator[None]:
    """Multiply and add as written: cuDNN may transform convolutions into others that round, and autocast does."""
    with ExitStack() as stack:
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=False, allow_tf32=False))
        yield


class _ByTerms(ApproximateLayer):
    """One convolution over T times the channels: the functions of each activation, looked up, are its channels."""

    functions: Tensor

    def __init__(self, source: IntegerLayer, terms: Terms) -> None:
        super().__init__(source)
        left, right = (torch.from_numpy(side).to(source.weight.device) for side in (terms.left, terms.right))
        functions = (left - left[:, source.zero, None]).T.contiguous()  # [256, T]
        weights = right[:, source.weight.long() + 128].movedim(0, 2)  # [out, in / groups, T, ...]
        self.portions = _portions(functions, weights)
        self.arithmetic = torch.float32 if self.portions else torch.float64
        self.register_buffer("functions", functions.to(self.arithmetic))
        # a parameter, so that the exported constant gets its name
        self.weight = nn.Parameter(weights.flatten(1, 2).to(self.arithmetic), requires_grad=False)

    def sums(self, codes: Tensor) -> Tensor:
        geometry = self.source.geometry
        values = functional.embedding(codes.movedim(1, -1).int(), self.functions)  # [N, ..., in, T]
        values = values.flatten(-2).movedim(-1, 1)  # [N, in * T, ...]
        with _plain_arithmetic(codes.device):
            if len(self.portions) < 2:
                return geometry.contract(values, self.weight).double()
            terms = self.functions.shape[1]
            grouped = values.unflatten(1, (geometry.groups, -1))
            sums = []
            for start, stop in self.portions:
                part = grouped[:, :, start * terms : stop * terms].flatten(1, 2)
                sums.append(geometry.contract(part, self.weight[:, start * terms : stop * terms]).double())
            return sum(sums[1:], sums[0])


def _portions(functions: Tensor, weights: Tensor) -> tuple[tuple[int, int], ...]:
    """Cut the channels of a group into as few equal portions as float32 sums up exactly.

    Args:
        functions: int64 [256, T].
        weights: int64 [out, in / groups, T, ...].

    Returns:
        Pairs of first channel and the one after the last; none where a single channel is too much for float32.
    """
    largest = functions.abs().amax(0).double()  # [T]
    sizes = weights.abs().double().reshape(*weights.shape[:3], -1).sum(3)
    loads = sizes @ largest  # [out, in / groups]: no sum of a channel's products is larger
    if loads.numel() and loads.max() > _EXACT:
        return ()
    channels = loads.shape[1]
    for count in range(1, channels + 1):
        ends = np.linspace(0, channels, count + 1).round().astype(int).tolist()
        portions = tuple(pairwise(ends))
        if all(loads[:, start:stop].sum(1).max() <= _EXACT for start, stop in portions):
            return portions
    raise AssertionError("single channels are small enough")


class _ByTable(ApproximateLayer):
    """Looks every product up: of each weight, a row with its products with all activations."""

    table: Tensor
    weight: Tensor

    def __init__(self, source: IntegerLayer, table: np.ndarray) -> None:
        super().__init__(source)
        moved = torch.from_numpy(table - table[source.zero]).to(source.weight.device, torch.float32)
        self.register_buffer("table", moved.T.contiguous())  # [256, 256], by weight and activation
        self.register_buffer("weight", source.weight)

    def sums(self, codes: Tensor) -> Tensor:
        groups = self.source.geometry.groups
        by_group = codes.unflatten(1, (groups, -1))
        out, channels, *_ = self.weight.shape
        weight = (self.weight.int() + 128).reshape(groups, out // groups, channels, -1)
        channel = weight.shape[3] * out * _CODES  # numbers in the rows of one input channel
        products = weight.shape[3] * float(self.table.abs().max().clamp(min=1))  # the most that it adds to a sum
        portion = max(1, min(_ROWS // channel, int(_EXACT / products)))
        sums = torch.zeros((), dtype=torch.float64, device=codes.device)
        for start in range(0, channels, portion):
            rows = self.table[weight[:, :, start : start + portion].flatten(2)]  # [groups, share, taps, 256]
            part = by_group[:, :, start : start + portion].flatten(1, 2)
            sums = sums + self._looked_up(part, rows.permute(0, 2, 3, 1).contiguous())
        return sums.movedim(-1, 1)

    def _looked_up(self, codes: Tensor, rows: Tensor) -> Tensor:
        """Add up the products of some channels.

        Args:
            codes: uint8 [N, channels, ...].
            rows: [groups, taps, 256, out / groups].

        Returns:
            float64 [N, ..., out].
        """
        geometry, kernel = self.source.geometry, tuple(self.weight.shape[2:])
        groups, taps, _, share = rows.shape
        places = geometry.places(codes.shape, kernel)
        offsets = torch.arange(groups * taps, device=codes.device, dtype=torch.int32).view(groups, taps) * _CODES
        found = []
        for some in codes.split(max(1, _LOOKED_UP // (places * groups * taps))):
            patches = geometry.patches(some, kernel, self.source.zero)
            index = patches.int() + offsets
            total = functional.embedding_bag(index.reshape(-1, taps), rows.view(-1, share), mode="sum")
            found.append(total.double().view(*patches.shape[:-2], groups * share))
        return torch.cat(found)
