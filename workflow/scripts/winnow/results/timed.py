"""Timed configurations: runtime, batch size and threads."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import pandas as pd

from winnow.results.metric import Metric
from winnow.results.numbers import counted
from winnow.results.timed_columns import TIMED
from winnow.study.vocabulary import RUNTIMES

UNSTEADY = 2.0  # a 95th percentile this many times the median; on a quiet machine it is less than 1.6 times
UNEVEN = 0.2  # a standard deviation over seeds, part of the mean; the same computation should take the same time
NOISE = 0.05  # part of a latency; where a runtime places its buffers can cost this much from start to start
TOLERATED = 0.1  # share of such latencies that goes without a word
_WHERE = r"([a-z]+)_b(\d+)_t(\d+)"


@dataclass(frozen=True)
class Timed:
    """A timed configuration: where latency and energy of a row come from."""

    runtime: str
    batch_size: int
    threads: int

    @property
    def where(self) -> str:
        """Return e.g. `openvino_b64_t1`, as in the names of columns."""
        return f"{self.runtime}_b{self.batch_size}_t{self.threads}"

    def metric(self, kind: str) -> Metric:
        """Return what was measured here, of a kind of `columns.TIMED`."""
        return TIMED[kind].at(self.where, str(self))

    def column(self, kind: str) -> str:
        """Return the column of results.csv of a kind of `columns.TIMED`."""
        return self.metric(kind).name

    @property
    def setting(self) -> str:
        """Return e.g. `batch 64, 1 thread`."""
        return f"batch {self.batch_size}, {counted(self.threads, 'thread')}"

    def __str__(self) -> str:
        return f"{RUNTIMES[self.runtime].label}, {self.setting}"


def timed_configurations(columns: Iterable[Hashable], kind: str = "latency") -> list[Timed]:
    """Return what was timed, in the order of the columns.

    Args:
        columns: a table, or its names.
        kind: of `columns.TIMED`.
    """
    pattern = TIMED[kind].column.format(where=_WHERE)
    found = (re.fullmatch(pattern, str(column)) for column in columns)
    return [Timed(match[1], int(match[2]), int(match[3])) for match in found if match]


def largest_batches(configurations: Iterable[Timed]) -> list[Timed]:
    """Return one configuration of each runtime: the one in which arithmetic counts most, on the fewest threads."""
    timed = sorted(configurations, key=lambda t: (-t.batch_size, t.threads))
    return [next(t for t in timed if t.runtime == runtime) for runtime in sorted({t.runtime for t in timed})]


def estimated(results: pd.DataFrame, metric: Metric) -> bool:
    """Whether a metric is, for some network, an estimate and not from a counter."""
    column = results.get(metric.estimated_by, pd.Series(dtype=bool))
    return bool(column.dropna().astype(bool).any())


@dataclass(frozen=True)
class Twins:
    """Two networks, rows of results.csv, that do the same work and took different times."""

    timed: Timed
    fast: pd.Series
    slow: pd.Series

    @property
    def ratio(self) -> float:
        """Return how many times as long the slow one took."""
        return float(self.slow[self.timed.column("latency")] / self.fast[self.timed.column("latency")])


def unequal_twins(results: pd.DataFrame, configurations: Iterable[Timed]) -> Twins | None:
    """Return the two networks of one computation whose latencies differ most; None if none do but by chance.

    Args:
        results: rows of results.csv.
    """
    found = []
    for timed in configurations:
        latency, low, high = (timed.column(kind) for kind in ("latency", "low", "high"))
        for _, same in results.dropna(subset=[latency]).groupby(["dataset", "model", "computation"]):
            ordered = same.sort_values(latency)
            twins = Twins(timed, fast=ordered.iloc[0], slow=ordered.iloc[-1])
            if twins.ratio > 1 + NOISE and twins.fast[high] < twins.slow[low]:
                found.append(twins)
    return max(found, key=lambda twins: twins.ratio, default=None)


def unsteady(table: pd.DataFrame, configurations: Iterable[Timed]) -> tuple[int, int]:
    """Count the latencies that cannot be relied on, for calls or seeds differ too much, and all latencies.

    Args:
        table: what `combinations` returns.
    """
    count = total = 0
    for timed in configurations:
        median, high = (timed.column(kind) for kind in ("latency", "p95"))
        if median in table and high in table:
            measured = table.dropna(subset=[median, high])
            calls_differ = measured[high] > UNSTEADY * measured[median]
            seeds_differ = measured[f"{median}_std"] > UNEVEN * measured[median]
            count, total = count + int((calls_differ | seeds_differ).sum()), total + len(measured)
    return count, total
