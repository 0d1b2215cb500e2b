"""From ranges of values to scales and zero points, and the rounding of a network that trains.

A fake quantizer rounds while the network trains and lets the gradient through (straight-through: Bengio et al. 2013;
ranges by moving averages: Jacob et al. 2018). Observers of a float network are in `observers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.quantize.levels import Levels
from winnow.quantize.weights import weight_scales

_AVERAGING = 0.01  # weight of the newest batch
_SMALLEST_SCALE = float(torch.finfo(torch.float32).eps)  # as that of torch's observers
_SMALLEST_GAIN = 2**-60  # of a norm that scales a channel to nothing


@dataclass(frozen=True)
class Scale:
    """An affine code, an integer from 0 on: value = scale * (code - zero_point)."""

    scale: float
    zero_point: int

    @classmethod
    def of(cls, low: float, high: float, levels: Levels) -> Scale:
        """Return the code whose levels reach from `low` to `high`; zero is always one of them."""
        smallest, largest = levels.activations
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / (largest - smallest), _SMALLEST_SCALE)
        return cls(scale, min(max(smallest - round(low / scale), smallest), largest))

    def rounded(self, value: Tensor, levels: Levels) -> Tensor:
        """Return float values, rounded to the levels."""
        return torch.fake_quantize_per_tensor_affine(value, self.scale, self.zero_point, *levels.activations)


class ActivationQuantizer(nn.Module):
    """Rounds a value to codes and back, in the range it has had lately.

    Attributes:
        observing: whether the range follows what flows through; off in inference and once ranges are frozen.
    """

    low: Tensor
    high: Tensor
    factor: Tensor
    zero_point: Tensor

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self.observing = True
        self._limits = levels.activations
        self.register_buffer("low", torch.tensor(float("inf")))
        self.register_buffer("high", torch.tensor(float("-inf")))
        self.register_buffer("factor", torch.ones(1))
        self.register_buffer("zero_point", torch.zeros(1, dtype=torch.int32))

    @property
    def observed(self) -> bool:
        """Whether it has a range."""
        return bool(self.low <= self.high)

    def forward(self, value: Tensor) -> Tensor:
        """Return float32 in the shape of `value`."""
        on = torch.ones(1, dtype=torch.int64, device=value.device)
        return torch.fused_moving_avg_obs_fake_quant(
            value.float(),
            on if self.observing else torch.zeros_like(on),
            on,
            self.low,
            self.high,
            self.factor,
            self.zero_point,
            _AVERAGING,
            *self._limits,
            -1,
        )

    def scale(self) -> Scale:
        return Scale(float(self.factor), int(self.zero_point))


class WeightQuantizer(nn.Module):
    """Rounds the weights of a layer to integers and back, by their magnitudes of this moment.

    A batch norm that is folded in later scales each channel, and with it the range: with a scale for each channel the
    integers stay the same, whatever it is. One scale for all is that of the folded weights.

    Args:
        epsilon: of the batch norm; None if there is none.
    """

    def __init__(self, levels: Levels, epsilon: float | None) -> None:
        super().__init__()
        self._levels, self._epsilon = levels, epsilon

    def forward(self, weight: Tensor, gain: Tensor | None = None, variance: Tensor | None = None) -> Tensor:
        """Return float32 [out, ...].

        Args:
            weight: float32 [out, ...].
            gain, variance: float32 [out], of the batch norm.
        """
        return torch.fake_quantize_per_channel_affine(
            weight,
            self.scales(weight.detach(), gain, variance),
            torch.zeros(len(weight), dtype=torch.int32, device=weight.device),
            0,
            *self._levels.weights,
        )

    def scales(self, weight: Tensor, gain: Tensor | None = None, variance: Tensor | None = None) -> Tensor:
        """Return the scale of each output channel at this moment, float32 [out]; see `forward`."""
        if not self._levels.per_tensor or variance is None or self._epsilon is None:
            return weight_scales(weight, levels=self._levels)
        factor = (variance + self._epsilon).rsqrt() * (1 if gain is None else gain.detach().abs())
        factor = factor.clamp(min=_SMALLEST_GAIN)
        return weight_scales(weight * factor.view(-1, *[1] * (weight.dim() - 1)), levels=self._levels) / factor
