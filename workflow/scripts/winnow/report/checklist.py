"""What a study of compression should show, after Blalock et al., What is the State of Neural Network Pruning? 2020."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from winnow.results.numbers import counted, listed
from winnow.results.simulated import are_simulated
from winnow.results.timed import timed_configurations
from winnow.study.vocabulary import DENSE, FP32, criterion

_POINTS = 5


@dataclass(frozen=True)
class Item:
    """One demand, whether this study meets it, and what was found."""

    demand: str
    passed: bool
    found: str


def checklist(results: pd.DataFrame) -> list[Item]:
    """Hold a study against the checklist.

    Args:
        results: the table of `study.collect`.
    """
    return list(_items(results))


def _items(results: pd.DataFrame) -> Iterator[Item]:
    pruned = results[results["run"] != DENSE]
    dense = results[(results["run"] == DENSE) & (results["precision"] == FP32)]
    points = sorted({round(100 * value, 1) for value in pruned["requested_sparsity"].dropna() if value > 0})
    levels = pruned.groupby(["dataset", "model"])["requested_sparsity"].nunique()
    fewest = int(levels.min()) if len(levels) else 0
    yield Item(
        f"several operating points: at least {_POINTS} sparsities for each pruned network",
        fewest >= _POINTS,
        f"{fewest} for each network: {listed([f'{p:g} %' for p in points])}" if points else "nothing was pruned",
    )
    timed = [t for t in timed_configurations(results) if results[t.column("speedup")].notna().any()]
    real = results[~are_simulated(results)]
    size = real["size_mb"].notna().all() and real["parameters"].notna().all() and len(real) > 0
    theory = len(results) > 0 and results["theoretical_speedup"].notna().all()
    yield Item(
        "compression ratio and speedup, both, and the measured beside the theoretical one",
        bool(size and theory and timed),
        "sizes, parameters and multiply-accumulates of all networks; latency in "
        + (listed(map(str, timed)) if timed else "no runtime")
        if size
        else "sizes are missing",
    )
    seeds = results.groupby(["dataset", "model", "run", "recipe"])["seed"].nunique()
    least, most = (int(seeds.min()), int(seeds.max())) if len(seeds) else (0, 0)
    yield Item(
        "several seeds for every network, and the spread over them",
        least >= 3,
        f"{counted(least, 'seed')} for each"
        if least == most
        else f"{least} to {most} seeds, not every network has all",
    )
    criteria = sorted(pruned["criterion"].dropna().unique())
    yield Item(
        "a random baseline",
        any(criterion(name).control for name in criteria),
        f"criteria: {listed(criteria)}" if criteria else "nothing was pruned",
    )
    yield Item(
        "a magnitude baseline",
        any(criterion(name).magnitude for name in criteria),
        f"criteria: {listed(criteria)}" if criteria else "nothing was pruned",
    )
    own = ["dataset", "model", "seed"]
    controls = set(dense[own].itertuples(index=False, name=None))
    lacking = set(results[own].itertuples(index=False, name=None)) - controls
    yield Item(
        "raw accuracies with the dense control of the same seed, not changes alone",
        not lacking and len(results) > 0,
        f"{counted(len(controls), 'dense fp32 network')}; {len(lacking)} without a control",
    )
    sets, models = results["dataset"].nunique(), results["model"].nunique()
    yield Item(
        "at least three pairs of data set and network",
        len(results[["dataset", "model"]].drop_duplicates()) >= 3,
        f"{counted(sets, 'data set')}, {counted(models, 'network')}",
    )
