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


def stated(joules: float, seconds: float | None) -> Energy:
    """Return energy that the user has stated."""
    watts = joules / seconds if seconds else None
    return Energy(joules=joules, watts=watts, source="stated", estimated=False, idle_watts=None)
