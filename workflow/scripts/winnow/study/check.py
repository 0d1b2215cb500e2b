"""check.json: what will work before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from winnow.study.record import Record


@dataclass(frozen=True)
class Finding:
    """One thing that a study asks of a network.

    Attributes:
        what: e.g. `weights`, `training`, `fp32`, `ptq`, `channels by l1`.
        works: whether it does; `reason` is one line that says why not.
        seconds: what finding out took.
        details: what else is known, e.g. the share of multiply-accumulates on integers.
    """

    what: str
    works: bool
    reason: str | None
    seconds: float
    details: Mapping[str, str | float | None]


@dataclass(frozen=True)
class Check(Record):
    """check.json: everything that a study asks of a network, tried once before it is trained."""

    dataset: str
    model: str
    works: bool
    checks: tuple[Finding, ...]
