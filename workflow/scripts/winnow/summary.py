"""The networks of a study without their seeds: mean, spread and n of every metric, and short names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from winnow.study import AXES, DENSE
from winnow.vocabulary import RUNTIMES

NETWORK = ["dataset", "model"]
COMBINATION = [*NETWORK, "run", "precision"]
UNSTEADY = 2.0  # a 95th percentile this many times the median; on a quiet machine it is less than 1.6 times
UNEVEN = 0.2  # a standard deviation over seeds, part of the mean; the same computation should take the same time
TOLERATED = 0.1  # share of such latencies that goes without a word
_UNITS = {"latency": "_ms", "energy": "_mj", "power": "_w", "speedup": ""}
_KEPT = ["strategy", *AXES, "round", "sparsity_unit"]


@dataclass(frozen=True)
class Timed:
    """A timed configuration: where latency and energy of a row come from."""

    runtime: str
    batch_size: int
    threads: int

    def column(self, kind: str) -> str:
        """Return the column of results.csv, of kind `latency`, `p95` (of latency), `energy`, `power` or `speedup`."""
        if kind == "p95":
            return self.column("latency").removesuffix("_ms") + "_p95_ms"
        return f"{kind}_{self.runtime}_b{self.batch_size}_t{self.threads}{_UNITS[kind]}"

    def __str__(self) -> str:
        plural = "s" * (self.threads != 1)
        return f"{RUNTIMES[self.runtime]}, batch {self.batch_size}, {self.threads} thread{plural}"


def timed_configurations(columns: Iterable[str], kind: str = "latency") -> list[Timed]:
    """Return what was timed, in the order of the columns.

    Args:
        columns: a table, or its names.
        kind: see `Timed.column`.
    """
    found = (re.fullmatch(rf"{kind}_([a-z]+)_b(\d+)_t(\d+){_UNITS[kind]}", column) for column in columns)
    return [Timed(match[1], int(match[2]), int(match[3])) for match in found if match]


def largest_batches(configurations: Iterable[Timed]) -> list[Timed]:
    """Return one configuration of each runtime: the one in which arithmetic counts most, on the fewest threads."""
    timed = sorted(configurations, key=lambda t: (-t.batch_size, t.threads))
    return [next(t for t in timed if t.runtime == runtime) for runtime in sorted({t.runtime for t in timed})]


def energy_estimated(results: pd.DataFrame) -> bool:
    """Whether energy of inference is, for some network, an estimate and not from a counter."""
    column = results.get("inference_energy_estimated", pd.Series(dtype=bool))
    return bool(column.dropna().astype(bool).any())


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


def networks_of(results: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield (dataset, model) of every network, in order."""
    yield from results[NETWORK].drop_duplicates().sort_values(NETWORK).itertuples(index=False, name=None)


def combinations(results: pd.DataFrame) -> pd.DataFrame:
    """Average over seeds: one row for each data set, network, run and precision.

    Returns:
        The keys, how it was pruned, `n` (networks), and for each numeric metric its mean under its own name and
        its sample standard deviation under `<name>_std` (missing for one seed).
    """
    if results.empty:
        return results.assign(n=0)
    numbers = [
        name
        for name in results
        if name not in (*COMBINATION, *_KEPT, "seed")
        and pd.api.types.is_numeric_dtype(results[name])
        and not pd.api.types.is_bool_dtype(results[name])
    ]
    grouped = results.groupby(COMBINATION, sort=False)
    kept = grouped[[name for name in _KEPT if name in results]].first()
    spread = grouped[numbers].std(ddof=1).add_suffix("_std")
    table = pd.concat([kept, grouped.size().rename("n"), grouped[numbers].mean(), spread], axis=1)
    return table.copy().reset_index()  # copied: wide and in pieces, which pandas warns of


def short_names(table: pd.DataFrame) -> pd.Series:
    """Return a short name for each row: what was pruned, by the axes that vary among these rows, and precision."""
    pruned = table[table["run"] != DENSE]
    varying = [axis for axis in AXES if axis not in ("ratio", "rounds") and pruned[axis].dropna().nunique() > 1]
    several = pruned["rounds"].dropna().nunique() > 1
    return table.apply(lambda row: f"{strategy_name(row, varying, several)}, {row['precision']}", axis=1)


def strategy_name(row: pd.Series, varying: list[str], rounds: bool) -> str:
    """Return e.g. `l1 90 %, 5 rounds` from the axes that vary, `dense` for what was not pruned."""
    if row["run"] == DENSE:
        return DENSE
    parts = [plain(row[axis]) for axis in varying if row[axis] != "none" or axis == "rewind"]
    name = " ".join([*parts, f"{100 * row['requested_sparsity']:.3g} %"])
    if row["round"] != row["rounds"]:
        name += f", round {row['round']:g} of {row['rounds']:g}"
    elif rounds:
        name += ", one-shot" if row["rounds"] == 1 else f", {row['rounds']:g} rounds"
    return name


def plain(value) -> str:
    """Return a value of an axis as text: 1 for 1.0, nothing for missing."""
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def three_digits(value: float) -> float:
    """Round to what figures show; numbers that differ only beyond are taken as equal."""
    return float(f"{value:.3g}")
