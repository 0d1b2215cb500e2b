"""sparsity.json: what a round of pruning left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from winnow.study.record import Record


@dataclass(frozen=True)
class WholeNetwork:
    weights: int
    kept: int
    sparsity: float


@dataclass(frozen=True)
class LayerSparsity:
    layer: str
    weights: int
    kept: int
    sparsity: float
    outputs: int
    kept_outputs: int
    spared: bool


@dataclass(frozen=True)
class Outside:
    """A weight that no layer multiplies activations by: never pruned, but counted."""

    parameter: str
    weights: int
    kept: int
    sparsity: float
    outputs: int
    kept_outputs: int
    reason: str


@dataclass(frozen=True)
class Group:
    """Layers that lose the same channels."""

    root: str
    members: tuple[str, ...]
    width: int
    kept: int


@dataclass(frozen=True)
class LeftAlone:
    """A layer that kept its channels, and why."""

    layer: str
    reason: str


@dataclass(frozen=True)
class Probe:
    """A network that lost part of one layer alone, before it is trained again.

    Attributes:
        removed: share of what the layer had before the round.
        loss, top1: on validation images: mean cross-entropy in nats, share of right predictions.
    """

    removed: float
    loss: float
    top1: float


@dataclass(frozen=True)
class Curve:
    """What a layer, or the group of channels whose root it is, bears alone; the first probe removed nothing."""

    layer: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class Sparsity(Record):
    """What a round of pruning left: `kept` of `total` units that may be pruned; shares are between 0 and 1.

    Attributes:
        curves: what says how much of each layer goes, with scope `sensitivity`.
    """

    strategy: str
    round: int
    axes: Mapping[str, str | int | float | None]
    unit: str
    requested: float
    achieved: float
    kept: int
    total: int
    whole_network: WholeNetwork
    layers: tuple[LayerSparsity, ...]
    outside: tuple[Outside, ...] = ()
    groups: tuple[Group, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()
    curves: tuple[Curve, ...] = ()
