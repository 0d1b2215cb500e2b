"""How a convolution or linear moves over its input, apart from what it multiplies with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from winnow.capture.fx_graphs import CONVOLUTIONS, arguments

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True)
class Geometry:
    """Where a layer meets its input, by spatial dimension; of a linear there is none.

    Attributes:
        groups: 1 for a linear.
    """

    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    @classmethod
    def of(cls, node: Node) -> Geometry:
        """Read it from a call to a convolution or linear of torch."""
        if node.target not in CONVOLUTIONS:
            return cls()
        values = arguments(node)
        dimensions = CONVOLUTIONS.index(node.target) + 1
        stride, padding, dilation = (
            _by_dimension(values[name], dimensions) for name in ("stride", "padding", "dilation")
        )
        return cls(stride, padding, dilation, int(str(values["groups"])))

    @property
    def spatial(self) -> int:
        """Return the number of spatial dimensions."""
        return len(self.stride)

    def by_output(self, values: Tensor) -> Tensor:
        """Give values of each output channel, [out], the shape in which they meet an output."""
        return values.view(-1, *[1] * self.spatial)

    def contract(self, values: Tensor, weight: Tensor) -> Tensor:
        """Multiply and add up as the layer does.

        Args:
            values: [N, in, ...]; a linear takes [rows, in].
            weight: [out, in / groups, ...].

        Returns:
            [N, out, ...] or [rows, out].
        """
        if not self.spatial:
            return functional.linear(values, weight)
        convolve = _CONVOLUTIONS[self.spatial]
        return convolve(values, weight, None, self.stride, self.padding, self.dilation, self.groups)

    def patches(self, values: Tensor, kernel: tuple[int, ...], fill: int) -> Tensor:
        """Return what each sum of the layer takes in, by group.

        Args:
            values: [N, in, ...]; a linear takes [rows, in].
            kernel: the spatial size of the weights.
            fill: the value of the padding.

        Returns:
            [N, ..., groups, K] with K = in / groups * kernel in the order of a weight, and `...` the output's places.
        """
        if not self.spatial:
            return values.unsqueeze(1)
        sides = [side for amount in reversed(self.padding) for side in (amount, amount)]
        values = functional.pad(values, sides, value=fill)
        for place, size in enumerate(kernel):
            step, spread = self.stride[place], self.dilation[place]
            values = values.unfold(2 + place, (size - 1) * spread + 1, step)[..., ::spread]
        places = values.shape[2 : 2 + self.spatial]
        values = values.unflatten(1, (self.groups, -1))  # [N, groups, in / groups, places..., kernel...]
        order = (0, *range(3, 3 + self.spatial), 1, 2, *range(3 + self.spatial, 3 + 2 * self.spatial))
        return values.permute(order).reshape(len(values), *places, self.groups, -1)

    def places(self, size: torch.Size, kernel: tuple[int, ...]) -> int:
        """Return for how many places of one image a layer computes its outputs.

        Args:
            size: of its input, [N, in, ...].
        """
        count = 1
        for place, length in enumerate(size[2 : 2 + self.spatial]):
            reach = self.dilation[place] * (kernel[place] - 1) + 1
            count *= (length + 2 * self.padding[place] - reach) // self.stride[place] + 1
        return count


def _by_dimension(value: object, dimensions: int) -> tuple[int, ...]:
    numbers = [int(number) for number in value] if isinstance(value, (list, tuple)) else [int(str(value))]
    return tuple(numbers if len(numbers) == dimensions else numbers * dimensions)
