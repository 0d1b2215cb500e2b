"""Which network to ship: limits on accuracy, size, latency and energy, and an objective among what is left.

Chosen are combinations of pruning and recipe by their means over seeds, on the validation split; then, within the
chosen one, the network of the seed that validates best. The test split has no say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from winnow.config.recommend import RecommendSettings
from winnow.errors import WinnowError
from winnow.results.columns import METRICS
from winnow.results.metric import Metric
from winnow.results.names import short_names
from winnow.results.over_seeds import combinations, networks_of
from winnow.results.simulated import are_simulated
from winnow.results.timed import Timed
from winnow.study.recommendation import Choice, Judged, Limit, Recommendations
from winnow.study.vocabulary import DENSE, FP32

EQUAL = 0.02  # objectives that differ by less than this share count as equal: latency repeats no better
_SLACK = 1e-9  # a drop of exactly the limit is within it, whatever the rounding


@dataclass(frozen=True)
class Recommendation:
    """What to ship for one data set and network, and why.

    Attributes:
        dataset, model: which network.
        chosen: the row of results.csv to ship; None if nothing is within all limits.
        nearest: where nothing is, the row that misses the limits by least.
        candidates: every combination: its means and spreads, and how it was judged: the attributes of
            `study.recommendation.Judged`, with a column `within <key>` for each limit.
        excluded, unmeasured, disagreeing: how many of the candidates; see `study.recommendation.Choice`.
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


def _cost(kind: str, settings: RecommendSettings) -> Metric:
    whole = {"size": METRICS["size_mb"], "multiplier_power": METRICS["multiplier_power"]}
    return whole[kind] if kind in whole else timing_of(settings).metric(kind)


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
        members = networks[(networks["run"] == candidate["run"]) & (networks["recipe"] == candidate["recipe"])]
        members = members[members["admissible"]]  # a mean may be within a limit that each seed exceeds
        if len(members):
            chosen = _best_seed(members)
            break
    agreeing = candidates[candidates["agrees"]]
    if chosen is None and agreeing["excess"].notna().any():
        near = agreeing.sort_values(["excess", "objective"], kind="stable").iloc[0]
        members = networks[(networks["run"] == near["run"]) & (networks["recipe"] == near["recipe"])]
        nearest = _best_seed(members)
    excluded = {str(limit): int((~agreeing[f"within {limit.key}"]).sum()) for limit in limits}
    first = results.iloc[0]
    unmeasured = int(agreeing["excess"].isna().sum())
    asked = (excluded, unmeasured, len(candidates) - len(agreeing), limits, settings)
    return Recommendation(first["dataset"], first["model"], chosen, nearest, candidates, *asked)


def _limits(settings: RecommendSettings) -> Iterator[Limit]:
    size, latency, energy = (_cost(kind, settings) for kind in ("size", "latency", "energy"))
    wanted = (
        ("max_accuracy_drop", "drop", settings.max_accuracy_drop, METRICS["top1_change"].unit),
        ("max_size_mb", size.name, settings.max_size_mb, size.unit),
        ("max_latency_ms", latency.name, settings.max_latency_ms, latency.unit),
        ("max_energy_mj", energy.name, settings.max_energy_mj, energy.unit),
    )
    return (Limit(key, column, float(largest), unit) for key, column, largest, unit in wanted if largest is not None)


def _base(results: pd.DataFrame) -> float:
    """Return the dense fp32 network's validation accuracy, mean over seeds; not a number if there is none."""
    dense = results[(results["run"] == DENSE) & (results["precision"] == FP32)]
    return float(dense["validation_top1"].mean())


def _judged(
    table: pd.DataFrame, limits: tuple[Limit, ...], settings: RecommendSettings, base: float | None = None
) -> pd.DataFrame:
    base = _base(table) if base is None else base
    table = table.copy().assign(name=short_names(table), drop=100 * (base - table["validation_top1"]))
    accuracy = settings.objective == "accuracy"
    table["objective"] = table.get("drop" if accuracy else _cost(settings.objective, settings).name)
    simulated = are_simulated(table)
    excess = pd.DataFrame(index=table.index)
    for limit in limits:
        values = pd.to_numeric(table[limit.column]) if limit.column in table else pd.Series(float("nan"), table.index)
        if settings.accelerated and limit.column != "drop":  # of a simulation neither time nor file says anything
            values = values.where(~simulated, 0.0)
        table[f"within {limit.key}"] = values <= limit.largest + _SLACK
        scale = limit.largest if limit.column != "drop" else max(limit.largest, 1.0)
        excess[limit.key] = ((values - limit.largest) / scale).clip(lower=0)
    table["excess"] = excess.max(axis=1, skipna=False) if limits else 0.0
    agrees = table.get(f"{settings.runtime}_agrees", pd.Series(1, table.index)) == 1  # a mean over seeds is 1 if all do
    agrees |= simulated & settings.accelerated  # what runs there is no runtime of here
    within = table[[f"within {limit.key}" for limit in limits]].all(axis=1)
    runs = ~simulated | settings.accelerated  # no processor has another multiplier
    return table.assign(agrees=agrees, admissible=within & table["objective"].notna() & agrees & runs)


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


def as_record(recommendations: Sequence[Recommendation], settings: RecommendSettings) -> Recommendations:
    """Return what is written: all but the numbers of results.csv."""
    choices = tuple(
        Choice(
            dataset=entry.dataset,
            model=entry.model,
            chosen=None if entry.chosen is None else _judgement(entry.chosen, entry.limits),
            nearest=None if entry.nearest is None else _judgement(entry.nearest, entry.limits),
            candidates=tuple(_judgement(row, entry.limits) for _, row in entry.candidates.iterrows()),
            excluded=entry.excluded,
            unmeasured=entry.unmeasured,
            disagreeing=entry.disagreeing,
        )
        for entry in recommendations
    )
    return Recommendations(settings.objective, str(timing_of(settings)), tuple(_limits(settings)), choices)


def _judgement(row: pd.Series, limits: Sequence[Limit]) -> Judged:
    return Judged(
        run=row["run"],
        recipe=row["recipe"],
        seed=int(row["seed"]) if "seed" in row else None,
        name=row["name"],
        within={limit.key: bool(row[f"within {limit.key}"]) for limit in limits},
        agrees=bool(row["agrees"]),
        admissible=bool(row["admissible"]),
        **{key: None if pd.isna(row[key]) else float(row[key]) for key in ("drop", "objective", "excess")},
    )


def with_numbers(record: Recommendations, results: pd.DataFrame, settings: RecommendSettings) -> list[Recommendation]:
    """Return what `recommend` returned, from what was written and the results it was made from.

    Raises:
        WinnowError: it was made from others.
    """
    recommendations = []
    for choice in record.choices:
        own = results[(results["dataset"] == choice.dataset) & (results["model"] == choice.model)]
        counts = (dict(choice.excluded), choice.unmeasured, choice.disagreeing)
        recommendations.append(
            Recommendation(
                choice.dataset,
                choice.model,
                _row(choice.chosen, own),
                _row(choice.nearest, own),
                _joined(choice.candidates, combinations(own), ["run", "recipe"]),
                *counts,
                record.limits,
                settings,
            )
        )
    return recommendations


def _row(judged: Judged | None, results: pd.DataFrame) -> pd.Series | None:
    return None if judged is None else _joined([judged], results.assign(n=1), ["run", "recipe", "seed"]).iloc[0]


def _joined(judged: Sequence[Judged], numbers: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the numbers of what was judged, with the judgements."""
    rows = [asdict(entry) for entry in judged]
    for row in rows:
        row |= {f"within {key}": inside for key, inside in row.pop("within").items()}
    table = pd.DataFrame(rows).astype({"drop": float, "objective": float, "excess": float})
    joined = numbers.merge(table if "seed" in keys else table.drop(columns="seed"), on=keys, validate="one_to_one")
    if len(joined) != len(judged):
        raise WinnowError("recommendation.json was made from other results; delete it and run again")
    return joined
