"""A tidy table of what quantizing each layer costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from winnow.study.sensitivity import MixedPrecision, Sensitivity

COLUMNS = [
    *("dataset", "model", "seed", "run", "recipe", "position", "layer", "harm"),
    *("alone_loss", "alone_top1", "alone_sqnr_db", "spared_loss", "spared_top1", "spared_sqnr_db"),
    *("float_loss", "float_top1", "quantized_loss", "quantized_top1", "macs", "weights", "samples"),
]
MIXED_COLUMNS = [
    *("dataset", "model", "seed", "run", "recipe", "in_float", "top1", "loss", "chosen"),
    *("limit", "float_top1", "samples", "spared"),
]


def collect_sensitivity(paths: Iterable[str | Path], folder: str | Path) -> pd.DataFrame:
    """Gather sensitivity.json files.

    Args:
        folder: results/<study>, which they lie in.

    Returns:
        A row for each layer, in the order of its network: which one, `harm` (nats; see `Sensitivity.harm`), what the
        network scores with it alone on integers and alone in float, in float and on integers as a whole, its shares of
        multiply-accumulates and weights, and the number of validation images.

    Raises:
        WinnowError: a file is damaged.
    """
    return pd.DataFrame(list(_rows(paths, folder)), columns=COLUMNS)


def collect_mixed(paths: Iterable[str | Path], folder: str | Path) -> pd.DataFrame:
    """Gather mixed.json files.

    Args:
        folder: results/<study>, which they lie in.

    Returns:
        A row for each number of layers in float that was tried: which network, what it scores, whether this number was
        chosen, the loss of accuracy that was allowed (a share), and the layers that stay in float.
    """
    rows = []
    for path in paths:
        record = MixedPrecision.read(path)
        whole = {"limit": record.limit, "float_top1": record.floats.top1, "samples": record.samples}
        for tried in record.curve:
            own = {
                "in_float": tried.in_float,
                "top1": tried.setting.top1,
                "loss": tried.setting.loss,
                "chosen": tried.in_float == len(record.spared),
                "spared": "; ".join(record.spared[: tried.in_float]),
            }
            rows.append(network_keys(path, folder) | whole | own)
    return pd.DataFrame(rows, columns=MIXED_COLUMNS)


def read_layers(path: str | Path) -> pd.DataFrame:
    """Read what was collected, from a CSV."""
    names = ("dataset", "model", "run", "recipe", "layer", "spared")
    known = dict.fromkeys(names, "str")
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=known)


def _rows(paths: Iterable[str | Path], folder: str | Path) -> Iterator[dict[str, Any]]:
    for path in paths:
        record = Sensitivity.read(path)
        keys = network_keys(path, folder) | {"samples": record.samples}
        whole = {
            f"{name}_{metric}": getattr(setting, metric)
            for name, setting in (("float", record.floats), ("quantized", record.quantized))
            for metric in ("loss", "top1")
        }
        for position, layer in enumerate(record.layers):
            own = {"position": position, "layer": layer.layer, "harm": record.harm(layer)}
            own |= {"macs": layer.macs, "weights": layer.weights}
            for name, setting in (("alone", layer.alone), ("spared", layer.spared)):
                own |= {f"{name}_{metric}": getattr(setting, metric) for metric in ("loss", "top1", "sqnr_db")}
            yield keys | whole | own


def network_keys(path: str | Path, folder: str | Path) -> dict[str, Any]:
    """Return which network and recipe a file is of, by where it lies in results/<study>."""
    dataset, model, seed, *run, recipe = Path(path).relative_to(folder).parent.parts
    keys = {"dataset": dataset, "model": model, "seed": int(seed.removeprefix("seed"))}
    return keys | {"run": "/".join(run), "recipe": recipe}
