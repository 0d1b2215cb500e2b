"""The study's quantization table: metrics by method by data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from winnow.results.columns import METRICS, in_runtime
from winnow.results.metric import Metric
from winnow.results.over_seeds import NETWORK, combinations
from winnow.results.report_table import ReportTable
from winnow.results.timed import estimated, timed_configurations
from winnow.study.vocabulary import DENSE, PRECISIONS, RUNTIMES, SCORED

DISAGREES = " (!)"
_ACCURACIES = {in_runtime("top1", runtime): runtime for runtime in SCORED[1:]}
"""Runtimes by the column of their own accuracy."""
_CELL = [*NETWORK, "precision"]
_SHOWN = (
    *("top1", "top5", *_ACCURACIES, "size_mb", "gzip_mb", "quantization_error", "sqnr_db"),
    *(in_runtime("integer_macs", runtime) for runtime in SCORED),
    *("training_seconds", "training_joules"),
)


def quantization_table(results: pd.DataFrame) -> ReportTable:
    """Lay out the dense networks of a study: mean, standard deviation and n over the seeds.

    Args:
        results: the table of `study.collect`.

    Returns:
        Data in long form: dataset, model, metric, method, mean, std (sample; missing for one seed), n; in the order of
        the table, without metrics that were not measured. Shown is a row for each model and metric, a column for each
        data set and method.
    """
    table = _long(results)
    shown = _wide(table)
    return ReportTable(
        title="Quantization",
        data=table.drop(columns="text"),
        shown=shown,
        groups=[name for name in NETWORK if name in shown],  # several data sets are columns
        labels=("metric",),
        notes=[*_remarks(table)] if len(table) else [],
        nothing="No network has been evaluated yet.",
    )


def _long(results: pd.DataFrame) -> pd.DataFrame:
    """Return the data of the table, and the text of each value, in words where `mean` is missing."""
    dense = results[results["run"] == DENSE]
    means = combinations(dense).sort_values(_CELL)
    rows = []
    for metric in _metrics(dense):
        label = metric.heading(estimated=estimated(dense, metric))
        for _, row in means[means[f"{metric.name}_n"] > 0].iterrows():
            mean, std, n = (row[f"{metric.name}{suffix}"] for suffix in ("", "_std", "_n"))
            text = metric.text(mean, std) + _mark(metric.name, row)
            values = (metric.factor * mean, metric.factor * std, n, text)
            rows.append((row["dataset"], row["model"], label, PRECISIONS[row["precision"]].column, *values))
    rows += _notes(dense)
    columns = ["dataset", "model", "metric", "method", "mean", "std", "n", "text"]
    return pd.DataFrame(rows, columns=columns)


def _mark(column: str, row: pd.Series) -> str:
    """Mark an accuracy in a runtime that does not compute this network, with some seed."""
    runtime = _ACCURACIES.get(column)
    return DISAGREES if runtime and row[f"{runtime}_agrees"] < 1 else ""


def _notes(dense: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that are words: what stays in float, and why a runtime does not load a network."""
    for runtime in SCORED:
        labels = {
            "left_in_float": f"left in float, {RUNTIMES[runtime].label}",
            "failure": f"{RUNTIMES[runtime].label} fails",
        }
        for name, label in labels.items():
            if f"{runtime}_{name}" not in dense:
                continue
            told = dense.dropna(subset=[f"{runtime}_{name}"])
            for (dataset, model, precision), group in told.groupby(_CELL):
                words, empty = group[f"{runtime}_{name}"].iloc[0], float("nan")
                yield dataset, model, label, PRECISIONS[str(precision)].column, empty, empty, len(group), words


def _metrics(results: pd.DataFrame) -> Iterator[Metric]:
    """Yield the fixed metrics that were measured, then one latency and one energy for each timed configuration."""
    fixed = [METRICS[name] for name in _SHOWN]
    timed = [t.metric(kind) for kind in ("latency", "energy") for t in timed_configurations(results, kind)]
    yield from (metric for metric in [*fixed, *timed] if metric.name in results and results[metric.name].notna().any())


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers as text, a row for each model and metric, a column for each method of each data set.

    One data set alone is a column of its own instead, as in the other tables.
    """
    table = table.dropna(subset=["mean"])
    metrics = list(dict.fromkeys(table["metric"]))
    wide = table.pivot(index=["model", "metric"], columns=["dataset", "method"], values="text").fillna("")
    order = [
        (dataset, method)
        for dataset in sorted(set(table["dataset"]))
        for method in (precision.column for precision in PRECISIONS.values())
    ]
    columns = [column for column in order if column in wide.columns]
    wide = wide.reindex(columns=columns)
    wide = wide.reindex(
        [(m, metric) for m in sorted(set(table["model"])) for metric in metrics if (m, metric) in wide.index]
    )
    several = table["dataset"].nunique() > 1
    wide.columns = [f"{dataset} {method}" if several else method for dataset, method in columns]
    wide = wide.reset_index()
    if len(wide) and not several:
        wide.insert(0, "dataset", table["dataset"].iloc[0])
    return wide


def _remarks(table: pd.DataFrame) -> Iterator[str]:
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
    for row in table[table["mean"].isna()].itertuples():
        yield f"{row.model}, {row.dataset} {row.method}: {row.metric}: {row.text}."
