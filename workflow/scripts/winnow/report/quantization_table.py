"""The study's quantization table: what each recipe costs and buys, by data set and network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from winnow.results.columns import METRICS, in_runtime
from winnow.results.metric import Metric
from winnow.results.over_seeds import NETWORK, combinations
from winnow.results.recipe_words import FEWER_BITS, fewer_bits
from winnow.results.recipes import recipes_of
from winnow.results.report_table import ReportTable
from winnow.results.timed import estimated, largest_batches, timed_configurations
from winnow.results.timed_columns import TIMED
from winnow.study.vocabulary import DENSE, PRECISIONS, RUNTIMES, SCORED

DISAGREES = " (!)"
_ACCURACIES = {in_runtime("top1", runtime): runtime for runtime in SCORED[1:]}
"""Runtimes by the column of their own accuracy."""
_CELL = [*NETWORK, "recipe", "precision"]
_SHOWN = (
    *("top1", "top5", *_ACCURACIES, "size_mb", "packed_mb", "gzip_mb", "quantization_error", "sqnr_db"),
    *(in_runtime("integer_macs", runtime) for runtime in SCORED),
    *("saturating_layers", "multiplier_power", "multiplier_error"),
    *("training_seconds", "training_joules"),
)
_ABREAST = 5  # recipes, fp32 among them, that are columns; more are rows, with fewer metrics
_IN_ROWS = (
    "top1",
    "size_mb",
    "packed_mb",
    "quantization_error",
    "sqnr_db",
    "integer_macs",
    "saturating_layers",
    "multiplier_power",
    "multiplier_error",
    "training_seconds",
)
_COMPARED = ("multiplier_power",)
"""What is shown where networks differ in it: it is relative to what int8 usually is."""


def quantization_table(results: pd.DataFrame) -> ReportTable:
    """Lay out the dense networks of a study: mean, standard deviation and n over the seeds.

    Args:
        results: the table of `study.collect`.

    Returns:
        Data in long form: dataset, model, metric, method, recipe, mean, std (sample; missing for one seed), n; in the
        order of the table, without metrics that were not measured. Shown is a row for each model and metric, a column
        for each data set and recipe; of many recipes a row for each, in the order of their methods.
    """
    table = _long(results)
    recipes = list(recipes_of(results)) if len(table) else []
    rows = len(recipes) > _ABREAST
    shown = _rows(table, results) if rows else _columns(table, recipes)
    labels = ("method", "recipe") if rows else ("metric",)
    return ReportTable(
        title="Quantization",
        data=table.drop(columns=["text", "column"]),
        shown=shown,
        groups=[name for name in NETWORK if name in shown],  # several data sets are columns
        labels=labels,
        notes=[*_remarks(table, results)] if len(table) else [],
        nothing="No network has been evaluated yet.",
    )


def _long(results: pd.DataFrame) -> pd.DataFrame:
    """Return the data of the table, the column of each metric, and the text of each value, in words where `mean` is
    missing."""
    dense = results[results["run"] == DENSE]
    places = {recipe: place for place, recipe in enumerate(recipes_of(dense))}
    means = combinations(dense)
    means = means.assign(place=means["recipe"].map(places)).sort_values([*NETWORK, "place"])
    rows = []
    for metric in _metrics(dense):
        label = metric.heading(estimated=estimated(dense, metric))
        for _, row in means[means[f"{metric.name}_n"] > 0].iterrows():
            mean, std, n = (row[f"{metric.name}{suffix}"] for suffix in ("", "_std", "_n"))
            text = metric.text(mean, std) + _mark(metric.name, row)
            values = (metric.factor * mean, metric.factor * std, n, text, metric.name)
            method = PRECISIONS[row["precision"]].column
            rows.append((row["dataset"], row["model"], label, method, row["recipe"], *values))
    rows += _notes(dense)
    columns = ["dataset", "model", "metric", "method", "recipe", "mean", "std", "n", "text", "column"]
    return pd.DataFrame(rows, columns=columns)


def _mark(column: str, row: pd.Series) -> str:
    """Mark an accuracy in a runtime that does not compute this network, with some seed."""
    runtime = _ACCURACIES.get(column)
    return DISAGREES if runtime and row[f"{runtime}_agrees"] < 1 else ""


def _notes(dense: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that are words: what stays in float, and why a runtime does not run or time a network."""
    for runtime in SCORED:
        labels = {
            "left_in_float": f"left in float, {RUNTIMES[runtime].label}",
            "failure": f"does not run in {RUNTIMES[runtime].label}",
            "untimed": f"not timed in {RUNTIMES[runtime].label}",
        }
        for name, label in labels.items():
            if f"{runtime}_{name}" not in dense:
                continue
            told = dense.dropna(subset=[f"{runtime}_{name}"])
            if name == "untimed":  # why it does not run there is said already
                told = told[told[f"{runtime}_agrees"] == 1]
            for (dataset, model, recipe, precision), group in told.groupby(_CELL):
                words, empty = group[f"{runtime}_{name}"].iloc[0], float("nan")
                method = PRECISIONS[str(precision)].column
                values = (empty, empty, len(group), words, f"{runtime}_{name}")
                yield dataset, model, label, method, recipe, *values


def _metrics(results: pd.DataFrame) -> Iterator[Metric]:
    """Yield the fixed metrics that were measured, then one latency and one energy for each timed configuration."""
    fixed = [METRICS[name] for name in _SHOWN]
    timed = [t.metric(kind) for kind in ("latency", "energy") for t in timed_configurations(results, kind)]
    for metric in [*fixed, *timed]:
        values = results[metric.name].dropna().nunique() if metric.name in results else 0
        if values > (metric.name in _COMPARED):
            yield metric


def _columns(table: pd.DataFrame, recipes: Sequence[str]) -> pd.DataFrame:
    """Return the numbers as text, a row for each model and metric, a column for each recipe of each data set.

    One data set alone is a column of its own instead, as in the other tables.
    """
    table = table.dropna(subset=["mean"])
    metrics = list(dict.fromkeys(table["metric"]))
    wide = table.pivot(index=["model", "metric"], columns=["dataset", "recipe"], values="text").fillna("")
    order = [(dataset, recipe) for dataset in sorted(set(table["dataset"])) for recipe in recipes]
    columns = [column for column in order if column in wide.columns]
    wide = wide.reindex(columns=columns)
    wide = wide.reindex(
        [(m, metric) for m in sorted(set(table["model"])) for metric in metrics if (m, metric) in wide.index]
    )
    several = table["dataset"].nunique() > 1
    names = [PRECISIONS[recipe].column if recipe in PRECISIONS else recipe for _, recipe in columns]
    data = [dataset for dataset, _ in columns]
    wide.columns = [f"{d} {name}" if several else name for d, name in zip(data, names, strict=True)]
    wide = wide.reset_index()
    if len(wide) and not several:
        wide.insert(0, "dataset", table["dataset"].iloc[0])
    return wide


def _rows(table: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers as text, a row for each recipe of each data set and model, a column for each metric."""
    headings = _headings(results)
    lines = []
    for (dataset, model, method, recipe), group in table.groupby([*NETWORK, "method", "recipe"], sort=False):
        texts = dict(zip(group["column"], group["text"], strict=True))
        line = {"dataset": dataset, "model": model, "method": method, "recipe": recipe}
        lines.append(line | {heading: texts.get(column, "") for column, heading in headings.items()})
    shown = pd.DataFrame(lines)
    return shown.loc[:, (shown != "").any()].sort_values(list(NETWORK), kind="stable", ignore_index=True)


def _headings(results: pd.DataFrame) -> Mapping[str, str]:
    """Return the metrics that are columns, with their headings: of the latencies those at the largest batch."""
    found = {name: METRICS[name].heading(short=True) for name in _IN_ROWS}
    for timed in largest_batches(timed_configurations(results)):
        if RUNTIMES[timed.runtime].ships:
            unit = TIMED["latency"].unit
            found[timed.column("latency")] = f"{TIMED['latency'].short}, {timed} ({unit})"
    return found


def _remarks(table: pd.DataFrame, results: pd.DataFrame) -> Iterator[str]:
    """Say over how many seeds the means are, and what is known of a network in words."""
    least, most = table["n"].min(), table["n"].max()
    if most == 1:
        yield "One seed."
    else:
        seeds = f"{most}" if least == most else f"{least} to {most}"
        yield f"Mean ± standard deviation over {seeds} seeds."
    if table["text"].str.endswith(DISAGREES).any():
        yield (
            f"{DISAGREES.strip()} This runtime computes something else than ONNX Runtime from the file: it is not "
            "timed or recommended there."
        )
    if fewer_bits(results[results["run"] == DENSE]):
        yield FEWER_BITS
    for row in table[table["mean"].isna()].to_dict("records"):
        name = row["method"] if row["recipe"] in PRECISIONS else row["recipe"]
        yield f"{row['model']}, {row['dataset']} {name}: {row['metric']}: {row['text']}."
