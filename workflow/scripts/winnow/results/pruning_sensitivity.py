"""A tidy table of what each layer bears when it alone is pruned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from winnow.results.sensitivity import network_keys
from winnow.study.sparsity import Sparsity

COLUMNS = [
    *("dataset", "model", "seed", "strategy", "criterion", "structure", "requested"),
    *("position", "layer", "units", "taken", "removed", "loss", "top1"),
]


def collect_curves(paths: Iterable[str | Path], folder: str | Path) -> pd.DataFrame:
    """Gather the curves of sparsity.json files.

    Args:
        paths: those of first rounds, in which what is pruned is the network that the study trained.
        folder: results/<study>, which they lie in.

    Returns:
        A row for each trial of each layer, or of each group of channels by its root, in the order of the network: how
        many weights or channels it has, the share that the strategy took in this round of it and of all, the share that
        the trial removed, and the loss (nats) and accuracy on validation images before anything is trained again.

    Raises:
        WinnowError: a file is damaged.
    """
    return pd.DataFrame([row for path in paths for row in _rows(path, folder)], columns=COLUMNS)


def read_curves(path: str | Path) -> pd.DataFrame:
    """Read what was collected, from a CSV."""
    names = ("dataset", "model", "strategy", "criterion", "structure", "layer")
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(names, "str"))


def _rows(path: str | Path, folder: str | Path) -> Iterator[dict[str, Any]]:
    record, keys = Sparsity.read(path), network_keys(path, folder)
    whole = {key: keys[key] for key in ("dataset", "model", "seed")} | {"strategy": record.strategy}
    whole |= {axis: record.axes[axis] for axis in ("criterion", "structure")} | {"requested": record.requested}
    by_layer = {curve.layer: curve.probes for curve in record.curves}
    probed = [entry for entry in _prunable(record) if entry[0] in by_layer]
    for position, (layer, units, kept) in enumerate(probed):
        own = {"position": position, "layer": layer, "units": units, "taken": 1 - kept / units}
        for probe in by_layer[layer]:
            yield whole | own | {"removed": probe.removed, "loss": probe.loss, "top1": probe.top1}


def _prunable(record: Sparsity) -> list[tuple[str, int, int]]:
    """Return what may be pruned, from input to output: its name, how many units it has, and how many are left."""
    if record.groups:
        places = {layer.layer: place for place, layer in enumerate(record.layers)}
        first = {
            group.root: min((places[name] for name in group.members if name in places), default=0)
            for group in record.groups
        }
        groups = sorted(record.groups, key=lambda group: first[group.root])
        return [(group.root, group.width, group.kept) for group in groups]
    return [(layer.layer, layer.weights, layer.kept) for layer in record.layers]
