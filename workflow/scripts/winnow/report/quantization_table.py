"""The study's quantization table: metrics by method by data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from winnow.results.numbers import spread
from winnow.results.over_seeds import NETWORK
from winnow.results.report_table import ReportTable
from winnow.results.timed import energy_estimated, timed_configurations
from winnow.study.vocabulary import PRECISIONS, RUNTIMES, SCORED

DISAGREES = " (!)"
_FIXED = [  # column, label, factor, decimals
    ("top1", "top-1 accuracy (%)", 100, 2),
    ("top5", "top-5 accuracy (%)", 100, 2),
    ("openvino_top1", "top-1 accuracy in OpenVINO (%)", 100, 2),
    ("size_mb", "model size (MB)", 1, 3),
    ("gzip_mb", "model size, gzip (MB)", 1, 3),
    ("quantization_error", "quantization error", 1, 4),
    ("sqnr_db", "SQNR (dB)", 1, 1),
    ("integer_macs", "integer MACs (%)", 100, 1),
    ("openvino_integer_macs", "integer MACs in OpenVINO (%)", 100, 1),
    ("training_seconds", "training time (s)", 1, 0),
    ("training_joules", "training energy (kJ)", 1e-3, 2),
]


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
    dense = results[results["run"] == "dense"]
    rows = []
    for column, label, factor, decimals in _metrics(dense):
        for (dataset, model, precision), group in dense.groupby(["dataset", "model", "precision"]):
            values = group[column].dropna() * factor
            if len(values):
                mean, std = values.mean(), values.std(ddof=1)
                text = spread(mean, std, decimals) + _mark(column, group)
                rows.append((dataset, model, label, PRECISIONS[precision].column, mean, std, len(values), text))
    rows += _notes(dense)
    columns = ["dataset", "model", "metric", "method", "mean", "std", "n", "text"]
    return pd.DataFrame(rows, columns=columns)


def _mark(column: str, group: pd.DataFrame) -> str:
    """Mark an accuracy in a runtime that does not compute this network."""
    runtime = column.removesuffix("_top1")
    disagrees = column != runtime and bool((group[f"{runtime}_agrees"] == 0).any())
    return DISAGREES if disagrees else ""


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
            for (dataset, model, precision), group in told.groupby(["dataset", "model", "precision"]):
                words, empty = group[f"{runtime}_{name}"].iloc[0], float("nan")
                yield dataset, model, label, PRECISIONS[precision].column, empty, empty, len(group), words


def _metrics(results: pd.DataFrame) -> list[tuple[str, str, float, int]]:
    """Return the fixed metrics, then one latency and one energy for each timed configuration."""
    metrics = [entry for entry in _FIXED if entry[0] in results]
    if results.get("training_energy_estimated", pd.Series([False])).any():
        metrics = [(c, f"{label} (estimate)" if c == "training_joules" else label, f, d) for c, label, f, d in metrics]
    estimated = " (estimate)" if energy_estimated(results) else ""
    timed = timed_configurations(results)
    metrics += [(t.column("latency"), f"inference, {t} (ms)", 1, 3) for t in timed]
    timed = timed_configurations(results, "energy")
    metrics += [(t.column("energy"), f"energy per image, {t} (mJ){estimated}", 1, 2) for t in timed]
    return metrics


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
    wide = wide.reindex(columns=[column for column in order if column in wide.columns])
    wide = wide.reindex(
        [(m, metric) for m in sorted(set(table["model"])) for metric in metrics if (m, metric) in wide.index]
    )
    several = table["dataset"].nunique() > 1
    wide.columns = [f"{dataset} {method}" if several else method for dataset, method in wide.columns]
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
