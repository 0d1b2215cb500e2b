"""Which network of a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """Which network of a study: the keys of results.csv."""

    dataset: str
    model: str
    seed: int
    run: str
    precision: str
