"""layer_times.json: what of a batch's time each layer takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from winnow.study.identity import Identity
from winnow.study.record import Record
from winnow.study.speed import Machine


@dataclass(frozen=True)
class LayerTimes(Identity, Record):
    """layer_times.json: a runtime's own profile of one model.onnx, which makes it slower than it is by itself.

    Attributes:
        layers: milliseconds of a batch, by layer: of the kernels that multiply, and of those that only follow them, as
            activations, sums and roundings do.
        rest_ms: of all others, such as pooling and the rounding of the images.
        untimed: why the runtime does not run the file; nothing is known then.
        other_load: see `Speed`.
    """

    runtime: str
    batch_size: int
    threads: int
    layers: Mapping[str, float]
    rest_ms: float
    untimed: str | None
    other_load: float
    machine: Machine

    @property
    def total_ms(self) -> float:
        """Return what all layers and the rest take."""
        return sum(self.layers.values()) + self.rest_ms
