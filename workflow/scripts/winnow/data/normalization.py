"""From pixels to the input of a network: the arithmetic of preprocessing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from winnow.config.settings import NormalizationSettings
from winnow.data.stated import stated
from winnow.errors import WinnowError

_HIGHEST = 255  # of uint8


@dataclass(frozen=True)
class Normalization:
    """(pixels in their range - mean) / std.

    Attributes:
        mean, std: float32 [C], of pixels in the range, in the order of the network's channels.
        value_range: 1 for pixels of 0 to 1, 255 for those of 0 to 255.
        channel_order: `rgb`, as images are stored, or `bgr`.
    """

    mean: Tensor
    std: Tensor
    value_range: int = 1
    channel_order: str = "rgb"

    def __call__(self, images: Tensor) -> Tensor:
        """Turn uint8 [N, C, H, W] into the float32 input of the network, channels last in memory."""
        if self.channel_order == "bgr":
            images = images.flip(1)
        scale = (1 / (_HIGHEST / self.value_range * self.std))[:, None, None]
        shift = (-self.mean / self.std)[:, None, None]
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(shift, pixels, scale)

    def to(self, device: torch.device) -> Normalization:
        return replace(self, mean=self.mean.to(device), std=self.std.to(device))

    @property
    def facts(self) -> dict[str, object]:
        """Return what who feeds the network needs to know, as plain values."""
        numbers = {"mean": self.mean.tolist(), "std": self.std.tolist()}
        return numbers | {"value_range": self.value_range, "channel_order": self.channel_order}


def normalization(settings: NormalizationSettings, mean: Tensor, std: Tensor, where: str) -> Normalization:
    """Return how a network gets the pixels of a data set: as configured, as its weights state, or by the data.

    Args:
        mean, std: of the training split, float32 [C], of pixels of 0 to 1 in RGB.
        where: begins errors.

    Raises:
        WinnowError: numbers of other channels than the images have.
    """
    known = stated(settings.stated_by) if settings.stated_by else None
    if settings.mean and settings.std:
        mean, std = (_by_channel(numbers, len(mean), where) for numbers in (settings.mean, settings.std))
        return Normalization(mean, std, settings.value_range, settings.channel_order)
    if known and len(known.mean) == len(mean):  # of pixels of 0 to 1 in RGB, too
        mean, std = torch.tensor(known.mean), torch.tensor(known.std)
    if settings.channel_order == "bgr":
        mean, std = mean.flip(0), std.flip(0)
    return Normalization(
        mean * settings.value_range, std * settings.value_range, settings.value_range, settings.channel_order
    )


def _by_channel(numbers: tuple[float, ...], channels: int, where: str) -> Tensor:
    if len(numbers) not in (1, channels):
        raise WinnowError(f"{where}: mean and std have {len(numbers)} numbers, its images {channels} channels")
    return torch.tensor(numbers, dtype=torch.float32).expand(channels).clone()
