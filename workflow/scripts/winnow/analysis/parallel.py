"""Parallel coordinates: every axis and metric of every network as one line, in four views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from winnow.config.recommend import RecommendSettings
from winnow.results.columns import METRICS
from winnow.results.not_measured import Missing
from winnow.results.numbers import plain, three_digits
from winnow.results.over_seeds import combinations
from winnow.results.timed import Timed, timed_configurations
from winnow.results.timed_columns import TIMED
from winnow.study.multipliers import EXACT, family_of
from winnow.study.pruning_axes import REWINDS, SCOPES, SHUFFLES, rewinding
from winnow.study.recipe_axes import (
    AUTO,
    CIRCUIT_ERRORS,
    CORRECTIONS,
    GRANULARITIES,
    OBSERVERS,
    OVERFLOWS,
    RECIPE_AXES,
    ROUNDINGS,
)
from winnow.study.vocabulary import CRITERIA, DENSE, PRECISIONS, STRUCTURES, criterion
from winnow.study.words import NONE

VIEWS = {
    "lowest": "lowest accuracy",
    "highest": "highest accuracy",
    "one-shot": "one-shot pruning",
    "iterative": "iterative pruning",
}
_SHARE = 0.25  # of all networks in the views of lowest and highest accuracy
_UNUSED = "-"  # by the precision of a network
_TEXT: dict[
    str, tuple[list[str], Callable[[str], object]]
] = {  # axis: (its values in a sensible order, what raises for those that are none)
    "criterion": ([*CRITERIA][::-1], criterion),
    "structure": ([*STRUCTURES], STRUCTURES.__getitem__),
    "scope": ([*SCOPES][::-1], SCOPES.__getitem__),
    "rewind": ([*REWINDS], rewinding),
    "shuffle": ([*SHUFFLES], SHUFFLES.__getitem__),
    "precision": ([*PRECISIONS], PRECISIONS.__getitem__),
    "observer": ([*OBSERVERS], OBSERVERS.__getitem__),
    "weights": ([*GRANULARITIES], GRANULARITIES.__getitem__),
    "correction": ([*CORRECTIONS], CORRECTIONS.__getitem__),
    "rounding": ([*ROUNDINGS], ROUNDINGS.__getitem__),
    "overflow": ([*OVERFLOWS], OVERFLOWS.__getitem__),
    "multiplier": ([EXACT, AUTO], lambda name: name == AUTO or family_of(name)),
    "circuit_error": ([*CIRCUIT_ERRORS], CIRCUIT_ERRORS.__getitem__),
    **dict.fromkeys(("calibration_samples", "weight_bits", "activation_bits", "keep_float", "distill"), ([], str)),
}
_WITHOUT = (DENSE, _UNUSED)
_STRATEGY = ("criterion", "structure", "scope", "rewind", "shuffle")
_METRICS = {  # by the column of the data, in the order of the axes
    "achieved_sparsity": METRICS["achieved_sparsity"],
    "size_mb": METRICS["size_mb"],
    "latency": TIMED["latency"],
    "energy": TIMED["energy"],
    "training_seconds": METRICS["training_seconds"],
    "top1": METRICS["top1"],
}


@dataclass(frozen=True)
class Coordinate:
    """One vertical axis: a number for each network, and the text of its ticks where it is a choice."""

    column: str
    label: str
    values: np.ndarray
    choices: tuple[str, ...] = ()


def parallel_data(results: pd.DataFrame, settings: RecommendSettings, view: str | None = None) -> pd.DataFrame:
    """Return one row for each combination of pruning and recipe, means over seeds.

    Args:
        results: rows of results.csv of one data set and network.
        settings: whose runtime, batch size and threads latency and energy are taken from.
        view: one of VIEWS, None for all.

    Returns:
        run, recipe, precision, n, the axes of pruning (`dense` for a dense network) and of recipes (`-` for a precision
        that has no such axis), rounds (0 for dense), achieved_sparsity, size_mb, latency, energy, training_seconds,
        top1; sorted by top1, lowest first.

    Raises:
        Missing: the view is empty.
    """
    timed = Timed(settings.runtime, settings.batch_size, settings.threads)
    if timed not in timed_configurations(results) and timed_configurations(results):
        timed = timed_configurations(results)[0]
    table = combinations(results).rename(columns={timed.column(kind): kind for kind in TIMED if kind in _METRICS})
    table = table.reindex(columns=["run", "recipe", "precision", "n", *_TEXT, "rounds", *_METRICS])
    table = table.loc[:, ~table.columns.duplicated()].dropna(subset=["top1"])
    dense = table["run"] == DENSE
    for axis in _STRATEGY:
        table[axis] = table[axis].astype(object).where(~dense, DENSE).fillna(NONE).astype(str)
    for axis in RECIPE_AXES:
        table[axis] = table[axis].map(plain).replace("", _UNUSED)
    table["rounds"] = table["rounds"].fillna(0).astype(int)
    table = table.sort_values(["top1", "run", "recipe"], ignore_index=True)
    count = max(1, round(_SHARE * len(table)))
    chosen = {
        None: table,
        "lowest": table.head(count),
        "highest": table.tail(count),
        "one-shot": table[table["rounds"] == 1],
        "iterative": table[table["rounds"] > 1],
    }[view]
    if chosen.empty:
        raise Missing(f"No network of this kind was evaluated: {VIEWS[view] if view else 'any'}.")
    return chosen.reset_index(drop=True)


def coordinates(data: pd.DataFrame, everything: pd.DataFrame) -> list[Coordinate]:
    """Return the axes to draw: those that vary over the whole study, axes of pruning and of recipes among networks that
    have them.

    Args:
        everything: the data of all views, so that all have the same axes and scales.
    """
    axes = []
    sparsity, *outcomes = _METRICS
    for column in (*_STRATEGY, "rounds", sparsity, "precision", *RECIPE_AXES, *outcomes):
        values = everything[column].dropna()
        # numbers that do not differ in the three digits that are shown do not differ
        shown = values if column in _TEXT else values.map(three_digits)
        if shown.nunique() < 2 or (column in _TEXT and values[~values.isin(_WITHOUT)].nunique() < 2):
            continue
        if column in _TEXT:
            choices = sorted(set(values), key=lambda name: _place(column, name))
            codes = data[column].map({name: place for place, name in enumerate(choices)})
            axes.append(Coordinate(column, column.replace("_", " "), codes.to_numpy(float), tuple(choices)))
        elif column in _METRICS:
            metric = _METRICS[column]
            axes.append(Coordinate(column, metric.heading(short=True), metric.factor * data[column].to_numpy(float)))
        else:
            axes.append(Coordinate(column, column, data[column].to_numpy(float)))
    return axes


def _place(column: str, name: str) -> tuple[float, str]:
    """Return what choices are sorted by: `dense`, those of the vocabulary in its order, then what users named."""
    order, check = _TEXT[column]
    if name in _WITHOUT:
        return -1, name
    check(name)
    if name.replace(".", "", 1).isdigit():
        return float(name), name
    return order.index(name) if name in order else len(order), name


def accuracy_limits(everything: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the colours, in % accuracy: networks that failed altogether do not make all others alike."""
    accuracy = 100 * everything["top1"]
    top, quarter = accuracy.max(), accuracy.quantile(0.25)
    low = max(accuracy.min(), quarter - 2 * (top - quarter))
    return (low, top) if top > low else (low, low + 1)


def limits(axis: Coordinate, everything: Coordinate) -> tuple[float, float]:
    """Return the ends of an axis, the same in all views; (low, high), never equal."""
    if axis.choices:
        return -0.3, len(axis.choices) - 0.7
    low, high = float(np.nanmin(everything.values)), float(np.nanmax(everything.values))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def tick_text(value: float) -> str:
    return plain(three_digits(value))
