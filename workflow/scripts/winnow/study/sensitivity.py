"""sensitivity.json: which layers quantization hurts; mixed.json: how many of them stay in float, and why so many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from winnow.study.record import Record


@dataclass(frozen=True)
class Setting:
    """A network with some layers on integers, on validation images.

    Attributes:
        loss: mean cross-entropy in nats.
        top1: share of right predictions.
        sqnr_db: of the logits, against those of the float network; None where exact.
    """

    loss: float
    top1: float
    sqnr_db: float | None


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer.

    Attributes:
        alone: all is float, but this layer.
        spared: this layer is float, and nothing else.
        macs, weights: its share of what all layers multiply for one image, and of what they store.
    """

    layer: str
    alone: Setting
    spared: Setting
    macs: float
    weights: float


@dataclass(frozen=True)
class Sensitivity(Record):
    """What quantizing each layer of a network costs, in the order of the network.

    Attributes:
        axes: of the recipe; weights are rounded to the nearest, whatever it says.
        samples: validation images.
        floats, quantized: nothing and everything on integers.
    """

    axes: Mapping[str, float | str]
    samples: int
    floats: Setting
    quantized: Setting
    layers: tuple[LayerSensitivity, ...]

    def harm(self, layer: LayerSensitivity) -> float:
        """Return what a layer on integers costs in loss, in nats: the mean of what it adds to a network in float, and
        of what sparing it takes from a quantized one."""
        return ((layer.alone.loss - self.floats.loss) + (self.quantized.loss - layer.spared.loss)) / 2

    @property
    def order(self) -> tuple[str, ...]:
        """Return the layers, those that hurt most first; of equals the one that comes first in the network."""
        return tuple(layer.layer for layer in sorted(self.layers, key=self.harm, reverse=True))


@dataclass(frozen=True)
class Candidate:
    """A network with so many layers in float, those that hurt most, calibrated and scored on validation images."""

    in_float: int
    setting: Setting


@dataclass(frozen=True)
class MixedPrecision(Record):
    """The fewest layers in float with which a quantized network is good enough.

    Attributes:
        limit: how much top-1 accuracy it may lose, a share.
        samples: validation images.
        floats: nothing on integers.
        order: all layers, those that hurt most first.
        in_float: how many of them stay in float.
        curve: all that was tried, from the fewest layers in float to the most.
    """

    schema: ClassVar[int] = 2

    limit: float
    samples: int
    floats: Setting
    order: tuple[str, ...]
    in_float: int
    curve: tuple[Candidate, ...]

    @property
    def spared(self) -> tuple[str, ...]:
        """Return the layers that stay in float."""
        return self.order[: self.in_float]
