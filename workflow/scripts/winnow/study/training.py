"""training.json: what a training run took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from winnow.study.energy import Energy
from winnow.study.record import Record


@dataclass(frozen=True)
class Training(Record):
    """training.json: what a training run took, and in total with every one of the study that it started from.

    Attributes:
        trained_here: whether a training run of a study has changed the weights; else they are as they were imported,
            but for what was pruned.
        imported: whether the first of these runs began with weights of another program: what their training took is in
            no total, see `whole`.
        seconds: wall time of the loop, interrupted attempts included, without waiting in between; None if there was no
            run.
        energy: None if there was no run.
        device, precision: what it ran on; None if there was no run.
        resumed: how often it was resumed.
        resumed_elsewhere: the changes of torch, threads or processor on the way: to the bit, the result is none of
            an uninterrupted run.
        total_seconds, total_joules: None if that of any run is not known.
    """

    schema: ClassVar[int] = 4

    trained_here: bool
    imported: bool
    seconds: float | None
    energy: Energy | None
    device: str | None
    precision: str | None
    resumed: int
    resumed_elsewhere: tuple[str, ...]
    total_seconds: float | None
    total_joules: float | None
    energy_estimated: bool | None

    @classmethod
    def of_import(cls) -> Self:
        """Return the record of weights that another program has trained."""
        return cls(
            trained_here=False,
            imported=True,
            seconds=None,
            energy=None,
            device=None,
            precision=None,
            resumed=0,
            resumed_elsewhere=(),
            total_seconds=0.0,
            total_joules=0.0,
            energy_estimated=False,
        )

    def whole(self, seconds: float | None, joules: float | None) -> Training:
        """Return the record with totals that include what the training of imported weights took.

        Args:
            seconds, joules: None if not known; for fresh weights they do not count.
        """
        if not self.imported:
            return self
        total = _sum(joules, self.total_joules)
        return replace(
            self,
            total_seconds=_sum(seconds, self.total_seconds),
            total_joules=total,
            energy_estimated=None if total is None else self.energy_estimated,
        )

    def after(self, ancestor: Training | None) -> Training:
        """Return the record with totals that include those of what the run started from; None for fresh weights.

        A run of no epochs changes nothing, and takes nothing worth a record: it is its ancestor's.
        """
        if ancestor is None:
            return self
        if not self.trained_here:
            return ancestor
        joules = _sum(ancestor.total_joules, self.total_joules)
        return replace(
            self,
            imported=ancestor.imported,
            total_seconds=_sum(ancestor.total_seconds, self.total_seconds),
            total_joules=joules,
            energy_estimated=None if joules is None else bool(ancestor.energy_estimated or self.energy_estimated),
        )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
