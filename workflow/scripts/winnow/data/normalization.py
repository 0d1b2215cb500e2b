"""From pixels to the input of a network: the arithmetic of preprocessing. No torch: who scores files needs none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

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

    mean: np.ndarray
    std: np.ndarray
    value_range: int = 1
    channel_order: str = "rgb"

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `facts` were."""
        mean, std = (np.array(facts[name], np.float32) for name in ("mean", "std"))
        return cls(mean, std, facts["value_range"], facts["channel_order"])

    @property
    def flipped(self) -> bool:
        """Whether the network takes the channels in the opposite order."""
        return self.channel_order == "bgr"

    @property
    def scale(self) -> np.ndarray:
        """Return what pixels of 0 to 255 are multiplied by, float32 [C]."""
        scale: np.ndarray = 1 / (np.float32(_HIGHEST / self.value_range) * self.std)
        return scale

    @property
    def shift(self) -> np.ndarray:
        """Return what is then added to them, float32 [C]."""
        shift: np.ndarray = -self.mean / self.std
        return shift

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 [N, C, H, W] into the float32 input of the network: the bits of `batches.Normalizer`."""
        channels = np.arange(len(self.mean))[:, None, None]
        inputs: np.ndarray = self._inputs()[channels, images[:, ::-1] if self.flipped else images]
        return inputs

    def _inputs(self) -> np.ndarray:
        """Return what each value of a pixel is for the network, float32 [C, 256].

        Product and sum are rounded once, as by the fused operation of torch.
        """
        exact: np.ndarray = np.arange(_HIGHEST + 1) * self.scale[:, None].astype(np.float64) + self.shift[:, None]
        return exact.astype(np.float32)

    @property
    def zero(self) -> list[int]:
        """Return the pixel, in the stored order of channels, that is nearest to 0 as an input."""
        pixel: list[int] = np.rint(self.mean * (_HIGHEST / self.value_range)).clip(0, _HIGHEST).astype(int).tolist()
        return pixel[::-1] if self.flipped else pixel

    @property
    def facts(self) -> dict[str, object]:
        """Return what who feeds the network needs to know, as plain values."""
        numbers = {"mean": self.mean.tolist(), "std": self.std.tolist()}
        return numbers | {"value_range": self.value_range, "channel_order": self.channel_order}


def normalization(settings: NormalizationSettings, mean: np.ndarray, std: np.ndarray, where: str) -> Normalization:
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
        mean, std = np.array(known.mean, np.float32), np.array(known.std, np.float32)
    scale = np.float32(settings.value_range)
    found = Normalization(mean * scale, std * scale, settings.value_range, settings.channel_order)
    return replace(found, mean=found.mean[::-1].copy(), std=found.std[::-1].copy()) if found.flipped else found


def _by_channel(numbers: tuple[float, ...], channels: int, where: str) -> np.ndarray:
    if len(numbers) not in (1, channels):
        raise WinnowError(f"{where}: mean and std have {len(numbers)} numbers, its images {channels} channels")
    return np.broadcast_to(np.array(numbers, np.float32), channels).copy()
