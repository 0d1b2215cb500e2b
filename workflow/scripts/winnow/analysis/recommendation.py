"""Which network to ship: limits on accuracy, size, latency and energy, and an objective among what is left.

Chosen are combinations of pruning and precision by their means over seeds, on the validation split; then, within the
chosen one, the network of the seed that validates best. The test split has no say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from winnow.config.recommend import RecommendSettings
from winnow.results.names import short_names
from winnow.results.over_seeds import combinations, networks_of
from winnow.results.timed import Timed
from winnow.study.vocabulary import DENSE, FP32

EQUAL = 0.02  # objectives that differ by less than this share count as equal: latency repeats no better
_SLACK = 1e-9  # a drop of exactly the limit is within it, whatever the rounding


@dataclass(frozen=True)
class Limit:
    """One constraint: the largest allowed value of a column of the candidates."""

    key: str
    column: str
    largest: float
    unit: str

    def __str__(self) -> str:
        what = self.key.removeprefix("max_").rpartition("_")[0] if self.unit != "points" else "loss of accuracy"
        unit = "point" if self.unit == "points" and self.largest == 1 else self.unit
        return f"{what} at most {self.largest:g} {unit} (`{self.key}`)"


@dataclass(frozen=True)
class Recommendation:
    """What to ship for one data set and network, and why.

    Attributes:
        dataset, model: which network.
        chosen: the row of results.csv to ship; None if nothing is within all limits.
        nearest: where nothing is, the row that misses the limits by least.
        candidates: every combination: its means and spreads, `name`, `drop` (points of validation accuracy below the
            dense fp32 network), `objective`, one column `within <key>` for each limit, `agrees` (in the runtime of the
            settings with ONNX Runtime), `admissible`, `excess` (the largest share by which it misses a limit).
        excluded: for each limit, how many of the candidates it excludes.
        unmeasured: how many candidates lack a value that a limit needs.
        disagreeing: how many candidates do not compute the same in the runtime of the settings as in ONNX Runtime, or
            do not run there, with any seed; they are not admissible, and count among no others.
        limits, settings: what was asked for.
    """

    dataset: str
    model: str
    chosen: pd.Series | None
    nearest: pd.Series | None
    candidates: pd.DataFrame
    excluded: dict[str, int]
    unmeasured: int
    disagreeing: int
    limits: tuple[Limit, ...]
    settings: RecommendSettings


def timing_of(settings: RecommendSettings) -> Timed:
    """Return the timed configuration that limits of latency and energy refer to."""
    return Timed(settings.runtime, settings.batch_size, settings.threads)


def recommend(results: pd.DataFrame, settings: RecommendSettings) -> list[Recommendation]:
    """Choose for every data set and network of results.csv."""
    return [
        _recommend(results[(results["dataset"] == dataset) & (results["model"] == model)], settings)
        for dataset, model in networks_of(results)
    ]


def _recommend(results: pd.DataFrame, settings: RecommendSettings) -> Recommendation:
    limits = tuple(_limits(settings))
    candidates = _judged(combinations(results), limits, settings)
    networks = _judged(results.assign(n=1), limits, settings, _base(results))
    admissible = candidates[candidates["admissible"]]
    chosen = nearest = None
    for _, candidate in _ranked(admissible).iterrows():
        members = networks[(networks["run"] == candidate["run"]) & (networks["precision"] == candidate["precision"])]
        members = members[members["admissible"]]  # a mean may be within a limit that each seed exceeds
        if len(members):
            chosen = _best_seed(members)
            break
    agreeing = candidates[candidates["agrees"]]
    if chosen is None and agreeing["excess"].notna().any():
        near = agreeing.sort_values(["excess", "objective"], kind="stable").iloc[0]
        members = networks[(networks["run"] == near["run"]) & (networks["precision"] == near["precision"])]
        nearest = _best_seed(members)
    excluded = {str(limit): int((~agreeing[f"within {limit.key}"]).sum()) for limit in limits}
    first = results.iloc[0]
    unmeasured = int(agreeing["excess"].isna().sum())
    asked = (excluded, unmeasured, len(candidates) - len(agreeing), limits, settings)
    return Recommendation(first["dataset"], first["model"], chosen, nearest, candidates, *asked)


def _limits(settings: RecommendSettings) -> Iterator[Limit]:
    timing = timing_of(settings)
    wanted = (
        ("max_accuracy_drop", "drop", settings.max_accuracy_drop, "points"),
        ("max_size_mb", "size_mb", settings.max_size_mb, "MB"),
        ("max_latency_ms", timing.column("latency"), settings.max_latency_ms, "ms"),
        ("max_energy_mj", timing.column("energy"), settings.max_energy_mj, "mJ"),
    )
    return (Limit(key, column, largest, unit) for key, column, largest, unit in wanted if largest is not None)


def _base(results: pd.DataFrame) -> float:
    """Return the dense fp32 network's validation accuracy, mean over seeds; not a number if there is none."""
    dense = results[(results["run"] == DENSE) & (results["precision"] == FP32)]
    return float(dense["validation_top1"].mean())


def _judged(
    table: pd.DataFrame, limits: tuple[Limit, ...], settings: RecommendSettings, base: float | None = None
) -> pd.DataFrame:
    base = _base(table) if base is None else base
    timing = timing_of(settings)
    column = {"size": "size_mb", "latency": timing.column("latency"), "energy": timing.column("energy")}
    table = table.copy().assign(name=short_names(table), drop=100 * (base - table["validation_top1"]))
    table["objective"] = table["drop"] if settings.objective == "accuracy" else table.get(column[settings.objective])
    excess = pd.DataFrame(index=table.index)
    for limit in limits:
        values = pd.to_numeric(table[limit.column]) if limit.column in table else pd.Series(float("nan"), table.index)
        table[f"within {limit.key}"] = values <= limit.largest + _SLACK
        scale = limit.largest if limit.column != "drop" else max(limit.largest, 1.0)
        excess[limit.key] = ((values - limit.largest) / scale).clip(lower=0)
    table["excess"] = excess.max(axis=1, skipna=False) if limits else 0.0
    agrees = table.get(f"{settings.runtime}_agrees", pd.Series(1, table.index)) == 1  # a mean over seeds is 1 if all do
    within = table[[f"within {limit.key}" for limit in limits]].all(axis=1)
    return table.assign(agrees=agrees, admissible=within & table["objective"].notna() & agrees)


def _ranked(admissible: pd.DataFrame) -> pd.DataFrame:
    """Order by the objective, best first; those as good as the best, within EQUAL, by validation accuracy."""
    if admissible.empty:
        return admissible
    best = admissible["objective"].min()
    equal = admissible["objective"] <= best + EQUAL * abs(best)
    order = admissible.assign(equal=~equal, first=admissible["objective"].where(~equal, best))
    return order.sort_values(
        ["equal", "first", "validation_top1", "size_mb"], ascending=[True, True, False, True], kind="stable"
    )


def _best_seed(networks: pd.DataFrame) -> pd.Series:
    return networks.sort_values(["validation_top1", "seed"], ascending=[False, True], kind="stable").iloc[0]


def as_record(recommendation: Recommendation) -> dict[str, Any]:
    """Return a recommendation as JSON-like values."""

    def network(row: pd.Series | None) -> dict[str, Any] | None:
        keys = ("dataset", "model", "seed", "run", "precision")
        return None if row is None else {key: int(row[key]) if key == "seed" else row[key] for key in keys}

    return {
        "dataset": recommendation.dataset,
        "model": recommendation.model,
        "chosen": network(recommendation.chosen),
        "nearest": network(recommendation.nearest),
        "limits": {limit.key: limit.largest for limit in recommendation.limits},
        "objective": recommendation.settings.objective,
        "measured_with": str(timing_of(recommendation.settings)),
        "candidates": len(recommendation.candidates),
        "admissible": int(recommendation.candidates["admissible"].sum()),
        "excluded": recommendation.excluded,
        "unmeasured": recommendation.unmeasured,
        "disagreeing": recommendation.disagreeing,
    }
