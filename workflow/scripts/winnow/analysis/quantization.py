"""What each method of quantization costs and buys."""

from __future__ import annotations

import pandas as pd

from winnow.results.not_measured import Missing
from winnow.results.timed import Timed, energy_estimated, timed_configurations
from winnow.study.vocabulary import DENSE, PRECISIONS

_METRICS = [  # column, label, factor
    ("top1", "top-1 accuracy (%)", 100),
    ("size_mb", "size (MB)", 1),
    ("quantization_error", "error of the logits", 1),
    ("training_seconds", "training time (s)", 1),
]


def quantization_bars_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of one dense network in every precision.

    Args:
        results: rows of results.csv of one data set and network.

    Returns:
        metric (column of results.csv), label, precision, mean, std (missing for one seed), n.

    Raises:
        Missing: the dense network has not been evaluated, or in one precision only.
    """
    dense = results[results["run"] == DENSE]
    if dense["precision"].nunique() < 2:
        raise Missing("This network was evaluated in one precision only; quantization.methods names the others.")
    timed = [(t.column("latency"), f"latency (ms), {_two_lines(t)}", 1) for t in timed_configurations(results)]
    end = ", estimate" * energy_estimated(dense)
    energy = [(t.column("energy"), f"energy (mJ), {_two_lines(t)}{end}", 1) for t in timed_configurations(results)]
    rows = []
    for column, label, factor in [*_METRICS, *timed, *energy]:
        for precision in PRECISIONS:
            values = dense.loc[dense["precision"] == precision, column].dropna() * factor
            if len(values):
                rows.append((column, label, precision, values.mean(), values.std(ddof=1), len(values)))
    return pd.DataFrame(rows, columns=["metric", "label", "precision", "mean", "std", "n"])


def _two_lines(timed: Timed) -> str:
    return str(timed).replace(", ", "\n", 1)
