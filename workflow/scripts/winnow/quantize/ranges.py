"""From the values that flow through a network to scales and zero points: observers and fake quantizers.

An observer watches a float network (post-training); a fake quantizer rounds while the network trains and lets the
gradient through (straight-through: Bengio et al. 2013; ranges by moving averages: Jacob et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.observer import HistogramObserver, MinMaxObserver

from winnow.quantize.int8 import ACTIVATION_RANGE, BIAS_RANGE, WEIGHT_RANGE

_OBSERVERS = {"histogram": HistogramObserver, "minmax": MinMaxObserver}
_AVERAGING = 0.01  # weight of the newest batch
_SMALLEST_SCALE = 2**-100  # what torch and the runtimes can still divide by, and multiply by another
_BIAS_ROOM = 4  # of int32: the sum of products needs its own


@dataclass(frozen=True)
class Scale:
    """An affine uint8 code: value = scale * (code - zero_point)."""

    scale: float
    zero_point: int


class Observer:
    """Collects the range of one value over calibration batches.

    Args:
        kind: `histogram` (the range of least expected squared error) or `minmax`.
    """

    def __init__(self, kind: str) -> None:
        low, high = ACTIVATION_RANGE
        self._observer = _OBSERVERS[kind](
            dtype=torch.uint8, quant_min=low, quant_max=high, qscheme=torch.per_tensor_affine
        )

    def see(self, value: Tensor) -> None:
        """Take notice of a value: float32 of any shape."""
        self._observer(value)

    def scale(self) -> Scale:
        scale, zero_point = self._observer.calculate_qparams()
        return Scale(float(scale), int(zero_point))


class ActivationQuantizer(nn.Module):
    """Rounds a value to uint8 and back, in the range it has had lately.

    Attributes:
        observing: whether the range follows what flows through; off in inference and once ranges are frozen.
    """

    low: Tensor
    high: Tensor
    factor: Tensor
    zero_point: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.observing = True
        self.register_buffer("low", torch.tensor(float("inf")))
        self.register_buffer("high", torch.tensor(float("-inf")))
        self.register_buffer("factor", torch.ones(1))
        self.register_buffer("zero_point", torch.zeros(1, dtype=torch.int32))

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
            *ACTIVATION_RANGE,
            -1,
        )

    def scale(self) -> Scale:
        return Scale(float(self.factor), int(self.zero_point))


def fake_quantized_weight(weight: Tensor) -> Tensor:
    """Round weights to int8 and back, each output channel by its largest magnitude of this moment.

    A batch norm that is folded in later scales each channel, and with it the range: the integers stay the same.

    Args:
        weight: float32 [out, ...].
    """
    return torch.fake_quantize_per_channel_affine(
        weight,
        weight_scales(weight.detach()),
        torch.zeros(len(weight), dtype=torch.int32, device=weight.device),
        0,
        *WEIGHT_RANGE,
    )


def weight_scales(weight: Tensor, bias: Tensor | None = None, input_scale: float = 1.0) -> Tensor:
    """Return the scale of each output channel.

    A channel whose weights are nearly zero must not make its bias, in units of both scales, exceed int32.

    Args:
        weight: float [out, ...].
        bias: float [out], quantized with scale `input_scale` times that of the weight.

    Returns:
        float32 [out], positive.
    """
    scales = weight.abs().flatten(1).amax(1).float() / WEIGHT_RANGE[1]
    if bias is not None:
        scales = torch.maximum(scales, bias.abs().float() / input_scale * (_BIAS_ROOM / BIAS_RANGE[1]))
    return scales.clamp(min=_SMALLEST_SCALE)
