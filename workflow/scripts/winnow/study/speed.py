"""speed.json: how fast one model.onnx is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from winnow.study.energy import Energy
from winnow.study.identity import Identity
from winnow.study.record import Record

NOTICEABLE_LOAD = 0.25
"""Cores that other programs keep busy, from which on a timing is said to be disturbed; a system at rest takes 0.1."""


@dataclass(frozen=True)
class Machine:
    """Where a measurement was taken: a number without it says little. `versions` by package."""

    processor: str
    logical_cpus: int | None
    vector_extensions: tuple[str, ...]
    system: str
    python: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Timing:
    """Latency of a batch in milliseconds, and energy of one image.

    Attributes:
        low_ms, high_ms: 95 % interval of the median, over rounds; see `winnow.measure.median`.
    """

    runtime: str
    batch_size: int
    threads: int
    median_ms: float
    low_ms: float
    high_ms: float
    p95_ms: float
    mean_ms: float
    repeats: int
    images_per_second: float
    energy_per_image: Energy


@dataclass(frozen=True)
class Speed(Identity, Record):
    """speed.json: how fast one model.onnx is.

    Attributes:
        other_load: cores that other programs, or other guests of the machine's host, kept busy meanwhile, on average.
        clock_mhz: of the CPUs right after; None where the system does not say.
        computation: digest of what the file computes, whatever its weights; equal ones take the same time.
        untimed: why a runtime is not among the timings, by its name.
    """

    schema: ClassVar[int] = 2

    machine: Machine
    other_load: float
    clock_mhz: float | None
    computation: str
    timings: tuple[Timing, ...]
    untimed: Mapping[str, str] = field(default_factory=dict)
