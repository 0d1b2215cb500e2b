"""The energy of a piece of work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Energy:
    """Joules of a piece of work and mean watts, above idle; from the counters named, or an estimate that says so."""

    joules: float
    watts: float | None
    source: str
    estimated: bool
    idle_watts: float | None
