"""Where an int8 network can go wrong on processors without VNNI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SaturatingLayer:
    """A layer whose sums of two products may exceed 16 bits, which x86 processors without VNNI cut off.

    Attributes:
        channels, outputs: how many of its output channels, and how many it has.
        largest: the largest magnitude that a sum of two products can have.
    """

    layer: str
    channels: int
    outputs: int
    largest: int
