"""training.json: what a training run took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from winnow.study.energy import Energy
from winnow.study.record import Record


@dataclass(frozen=True)
class Training(Record):
    """training.json: what a training run took, and in total with every one that it started from.

    Attributes:
        seconds: wall time of the loop, interrupted attempts included, without waiting in between.
        device, precision: what it ran on.
        resumed: how often it was resumed.
        resumed_elsewhere: the changes of torch, threads or processor on the way: to the bit, the result is none of
            an uninterrupted run.
    """

    schema: ClassVar[int] = 2

    seconds: float
    energy: Energy
    device: str
    precision: str
    resumed: int
    resumed_elsewhere: tuple[str, ...]
    total_seconds: float
    total_joules: float
    energy_estimated: bool

    def after(self, ancestor: Training | None) -> Training:
        """Return the record with totals that include those of what the run started from; None for fresh weights."""
        if ancestor is None:
            return self
        return replace(
            self,
            total_seconds=ancestor.total_seconds + self.seconds,
            total_joules=ancestor.total_joules + self.energy.joules,
            energy_estimated=ancestor.energy_estimated or self.energy.estimated,
        )
