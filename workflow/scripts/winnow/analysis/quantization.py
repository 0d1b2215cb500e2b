"""What each recipe of quantization costs and buys."""

from __future__ import annotations

import pandas as pd

from winnow.results.columns import METRICS
from winnow.results.not_measured import Missing
from winnow.results.recipes import recipes_of
from winnow.results.timed import estimated, timed_configurations
from winnow.results.timed_columns import TIMED
from winnow.study.vocabulary import DENSE

_METRICS = [METRICS[name] for name in ("top1", "size_mb", "quantization_error", "training_seconds")]


def quantization_bars_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of one dense network by every recipe, one row for each seed.

    Args:
        results: rows of results.csv of one data set and network.

    Returns:
        metric (column of results.csv), label, recipe, precision, seed, value; metrics and recipes in the order in
        which they are shown.

    Raises:
        Missing: the dense network has not been evaluated, or by one recipe only.
    """
    dense = results[results["run"] == DENSE]
    recipes = recipes_of(dense)
    if len(recipes) < 2:
        raise Missing("This network was evaluated in one precision only; quantization.methods names the others.")
    shown = [(metric, metric.heading()) for metric in _METRICS]
    for kind in (TIMED["latency"], TIMED["energy"]):
        heading = kind.heading(estimated=estimated(dense, kind))
        shown += [(t.metric(kind.name), f"{heading}\n{t}") for t in timed_configurations(results)]
    rows = []
    for metric, heading in shown:
        for recipe, precision in recipes.items():
            values = dense.loc[dense["recipe"] == recipe, ["seed", metric.name]].dropna().to_numpy()
            keys = (metric.name, heading, recipe, precision.name)
            rows += [(*keys, seed, metric.factor * value) for seed, value in values]
    return pd.DataFrame(rows, columns=["metric", "label", "recipe", "precision", "seed", "value"])
