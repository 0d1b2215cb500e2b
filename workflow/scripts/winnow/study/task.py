"""What a network is built for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """Images of `channels` and a size in, logits of `classes` out.

    Attributes:
        size: pixels of each side; (height, width) where these differ.
    """

    channels: int
    size: int | tuple[int, int]
    classes: int

    @classmethod
    def of(cls, shape: tuple[int, int, int], classes: int) -> Task:
        """Return the task of images of a shape, (C, H, W)."""
        channels, height, width = shape
        return cls(channels, height if height == width else (height, width), classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W) of one image."""
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        return self.channels, height, width
