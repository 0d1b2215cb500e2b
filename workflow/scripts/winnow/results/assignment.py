"""A tidy table of which layer multiplies with which circuit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from winnow.results.sensitivity import network_keys
from winnow.study.assignment import Assignment

COLUMNS = [
    *("dataset", "model", "seed", "run", "recipe", "position", "layer", "multiplier", "layer_power", "macs", "noise"),
    *("mean_error", "relative_error", "worst_error", "bias"),
    *("power", "area", "source", "top1", "float_top1", "exact_top1", "limit", "samples", "probed", "tried"),
]


def collect_assignments(paths: Iterable[str | Path], folder: str | Path) -> pd.DataFrame:
    """Gather multipliers.json files.

    Args:
        folder: results/<study>, which they lie in.

    Returns:
        A row for each layer, in the order of its network: which one, its circuit with its relative power, its share of
        the multiply-accumulates, what the circuit in it alone does to the logits, and how wrong its products are there
        (see `CircuitError`); of the network the relative power and area of its multiplications, what it scores on
        validation images, what it scores in float and as int8, and how many assignments were tried.

    Raises:
        WinnowError: a file is damaged.
    """
    rows = []
    for path in paths:
        record = Assignment.read(path)
        by_step = {tried.step: tried.setting for tried in record.curve}
        whole = {
            "power": record.cost.power,
            "area": record.cost.area,
            "source": record.cost.source,
            "top1": by_step[record.chosen].top1,
            "float_top1": record.floats.top1,
            "exact_top1": by_step[0].top1,
            "limit": record.limit,
            "samples": record.samples,
            "probed": record.probed,
            "tried": len(record.curve),
        }
        for position, layer in enumerate(record.layers):
            cost = record.by_layer[layer.layer].cost
            own = {"position": position, "layer": layer.layer, "multiplier": layer.multiplier, "macs": layer.macs}
            own |= {"layer_power": cost.power if cost else None, "noise": layer.noise[layer.multiplier]}
            error = layer.error
            own |= {"mean_error": error.mean, "relative_error": error.mean_relative}
            own |= {"worst_error": error.worst, "bias": error.bias}
            rows.append(network_keys(path, folder) | own | whole)
    return pd.DataFrame(rows, columns=COLUMNS)


def read_assignments(path: str | Path) -> pd.DataFrame:
    """Read what was collected, from a CSV."""
    known = dict.fromkeys(("dataset", "model", "run", "recipe", "layer", "multiplier", "source"), "str")
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=known)
