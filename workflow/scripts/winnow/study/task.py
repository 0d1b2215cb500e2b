"""What a network is built for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """Square images of `channels` x `size` x `size` pixels in, logits of `classes` out."""

    channels: int
    size: int
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W) of one image."""
        return self.channels, self.size, self.size
