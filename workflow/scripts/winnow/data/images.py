"""Images of a data set as their source gives them: known by label first, read one by one when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from winnow.config.settings import DatasetSettings
from winnow.data.fitting import Fitting

SPLITS = ("train", "test")
_AT_ONCE = 512  # images; more of them at once is not faster
Wanted = Mapping[str, np.ndarray]
"""By split, of which of its images are to be read: bool [N]."""


class Sink(Protocol):
    """Where images go.

    Attributes:
        done: images that an earlier attempt has read, of those that are wanted and in their order.
        notes: what the source has noted of them.
    """

    done: int
    notes: dict[str, Any] | None

    def place(self, split: str, position: int, pixels: np.ndarray, counts: np.ndarray) -> None:
        """Take an image.

        Args:
            position: in its split.
            pixels: uint8 [C, H, W].
            counts: what `counted` returns for them.
        """

    def reached(self, done: int, notes: Callable[[], dict[str, Any]] | None = None) -> None:
        """Take note that so many images are read, and what returns the source's notes of them, as plain values."""


class Source(Protocol):
    """Where images come from.

    Attributes:
        classes: their names, position = label.
        labels: by split, int64 [N].
        shape: (C, H, W) of every image.
        fitting: how they come to it.
    """

    classes: tuple[str, ...]
    labels: dict[str, np.ndarray]
    shape: tuple[int, int, int]
    fitting: Fitting

    def read(self, wanted: Wanted, sink: Sink, threads: int) -> None:
        """Read images into a sink.

        Raises:
            WinnowError: one of them cannot be read, or is unfit.
        """


@dataclass(frozen=True)
class Images:
    """One split in memory: uint8 pixels [N, C, H, W], int64 labels [N] into `classes`."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def counted(pixels: np.ndarray) -> np.ndarray:
    """Return how often each of the 256 values occurs in each channel of uint8 [C, H, W]: int64 [C, 256]."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in pixels])


class Held:
    """A source whose images, all of one size, are in memory as they came.

    They are resized to `image_size` by torch (bilinear, antialiased), or by `resize` and `crop` as files are.
    """

    def __init__(self, train: Images, test: Images, settings: DatasetSettings) -> None:
        self._splits = dict(zip(SPLITS, (train, test), strict=True))
        self._settings = settings
        self.classes = train.classes
        self.labels = {split: images.labels for split, images in self._splits.items()}
        self.fitting = Fitting.of(settings, files=False)
        _, channels, height, width = train.pixels.shape
        self.shape = (settings.channels or channels, *(self.fitting.size or (height, width)))

    def read(self, wanted: Wanted, sink: Sink, threads: int) -> None:  # noqa: ARG002 - torch has threads of its own
        """Convert images and put them into a sink; see `Source`."""
        done = 0
        for split, images in self._splits.items():
            positions = np.flatnonzero(wanted[split])
            for start in range(0, len(positions), _AT_ONCE):
                part = positions[start : start + _AT_ONCE]
                done += len(part)
                if done <= sink.done:
                    continue
                for position, pixels in zip(part.tolist(), self._converted(images.pixels[part]), strict=True):
                    sink.place(split, position, pixels, counted(pixels))
                sink.reached(done)

    def _converted(self, pixels: np.ndarray) -> np.ndarray:
        """Resize uint8 [N, C, H, W] and convert it to the configured channels, where these differ."""
        if self.fitting.piped:
            pixels = np.stack([self._piped(image) for image in pixels])
        images = torch.from_numpy(pixels)
        if self.fitting.size and self.fitting.size != tuple(images.shape[-2:]):
            images = functional.interpolate(images, size=self.fitting.size, mode="bilinear", antialias=True)
        if self._settings.channels == 3 and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        elif self._settings.channels == 1 and images.shape[1] == 3:
            weights = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma, as Pillow's mode L
            images = (images.float() * weights[:, None, None]).sum(1, keepdim=True).round().to(torch.uint8)
        converted: np.ndarray = images.contiguous().numpy()
        return converted

    def _piped(self, pixels: np.ndarray) -> np.ndarray:
        fitted = self.fitting(Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))
        values = np.asarray(fitted)
        return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
