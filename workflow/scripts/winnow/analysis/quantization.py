"""What each method of quantization costs and buys."""

from __future__ import annotations

import pandas as pd

from winnow.results.not_measured import Missing
from winnow.results.timed import energy_estimated, timed_configurations
from winnow.study.vocabulary import DENSE, PRECISIONS

_METRICS = [  # column, label, factor
    ("top1", "top-1 accuracy, test (%)", 100),
    ("size_mb", "size of model.onnx (MB)", 1),
    ("quantization_error", "error of the logits", 1),
    ("training_seconds", "training time (s)", 1),
]


def quantization_bars_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of one dense network in every precision, one row for each seed.

    Args:
        results: rows of results.csv of one data set and network.

    Returns:
        metric (column of results.csv), label, precision, seed, value; metrics and precisions in the order in which
        they are shown.

    Raises:
        Missing: the dense network has not been evaluated, or in one precision only.
    """
    dense = results[results["run"] == DENSE]
    precisions = PRECISIONS.present(dense["precision"])
    if len(precisions) < 2:
        raise Missing("This network was evaluated in one precision only; quantization.methods names the others.")
    estimated = ", estimate" if energy_estimated(dense) else ""
    timed = timed_configurations(results)
    latency = [(t.column("latency"), f"latency (ms)\n{t}", 1) for t in timed]
    energy = [(t.column("energy"), f"energy per image (mJ){estimated}\n{t}", 1) for t in timed]
    rows = []
    for column, label, factor in [*_METRICS, *latency, *energy]:
        for precision in precisions:
            values = dense.loc[dense["precision"] == precision.name, ["seed", column]].dropna()
            rows += [(column, label, precision.name, seed, factor * value) for seed, value in values.to_numpy()]
    return pd.DataFrame(rows, columns=["metric", "label", "precision", "seed", "value"])
