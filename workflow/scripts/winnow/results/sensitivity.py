"""A tidy table of what quantizing each layer costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from winnow.study.layer_times import LayerTimes
from winnow.study.sensitivity import MixedPrecision, Sensitivity
from winnow.study.vocabulary import FP32

COLUMNS = [
    *("dataset", "model", "seed", "run", "recipe", "position", "layer", "harm"),
    *("alone_loss", "alone_top1", "alone_sqnr_db", "spared_loss", "spared_top1", "spared_sqnr_db"),
    *("float_loss", "float_top1", "quantized_loss", "quantized_top1", "macs", "weights", "samples"),
    *("float_ms", "integer_ms", "integer_total_ms", "runtime", "batch_size", "threads"),
]
MIXED_COLUMNS = [
    *("dataset", "model", "seed", "run", "recipe", "in_float", "top1", "loss", "chosen"),
    *("limit", "float_top1", "samples", "spared", "estimated_ms", "runtime", "batch_size", "threads"),
]


def collect_sensitivity(
    paths: Iterable[str | Path], folder: str | Path, times: Iterable[str | Path] = ()
) -> pd.DataFrame:
    """Gather sensitivity.json files.

    Args:
        folder: results/<study>, which they lie in.
        times: layer_times.json of these networks, in float and by these recipes.

    Returns:
        A row for each layer, in the order of its network: which one, `harm` (nats; see `Sensitivity.harm`), what the
        network scores with it alone on integers and alone in float, in float and on integers as a whole, its shares of
        multiply-accumulates and weights, the number of validation images, and the milliseconds of a batch that it takes
        in float and on integers, and that all layers and the rest take, with where this was measured.

    Raises:
        WinnowError: a file is damaged.
    """
    rows = pd.DataFrame(list(_rows(paths, folder, _Times(times, folder))), columns=COLUMNS)
    return rows.astype(dict.fromkeys(("float_ms", "integer_ms", "integer_total_ms"), float))


def collect_mixed(
    paths: Iterable[str | Path],
    folder: str | Path,
    times: Iterable[str | Path] = (),
    unspared: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Gather mixed.json files.

    Args:
        folder: results/<study>, which they lie in.
        times: layer_times.json of these networks, in float and with no layer in float.
        unspared: by recipe, that which leaves no layer in float.

    Returns:
        A row for each number of layers in float that was tried: which network, what it scores, whether this number was
        chosen, the loss of accuracy that was allowed (a share), the layers that stay in float, and the milliseconds of
        a batch if each layer takes what it takes in a network that is all in float, or all on integers.
    """
    rows, known = [], _Times(times, folder)
    for path in paths:
        record, keys = MixedPrecision.read(path), network_keys(path, folder)
        recipe = (unspared or {}).get(keys["recipe"], "")
        whole = {"limit": record.limit, "float_top1": record.floats.top1, "samples": record.samples}
        for tried in record.curve:
            own = {
                "in_float": tried.in_float,
                "top1": tried.setting.top1,
                "loss": tried.setting.loss,
                "chosen": tried.in_float == record.in_float,
                "spared": "; ".join(record.order[: tried.in_float]),
                "estimated_ms": known.mixed(keys, recipe, record.order[: tried.in_float]),
            }
            rows.append(keys | whole | own | known.where(keys, recipe))
    return pd.DataFrame(rows, columns=MIXED_COLUMNS).astype({"estimated_ms": float})


def read_layers(path: str | Path) -> pd.DataFrame:
    """Read what was collected, from a CSV."""
    names = ("dataset", "model", "run", "recipe", "layer", "spared")
    known = dict.fromkeys(names, "str")
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=known)


class _Times:
    """What is known of the milliseconds of layers, by network and recipe."""

    def __init__(self, paths: Iterable[str | Path], folder: str | Path) -> None:
        self._known = {_place(network_keys(path, folder)): LayerTimes.read(path) for path in paths}

    def of(self, keys: Mapping[str, Any], recipe: str) -> LayerTimes | None:
        """Return what was measured of a network by a recipe, if its runtime ran it."""
        found = self._known.get(_place({**keys, "recipe": recipe}))
        return None if found is None or found.untimed else found

    def where(self, keys: Mapping[str, Any], recipe: str) -> dict[str, Any]:
        """Return in which runtime, and how, that was."""
        found = self.of(keys, recipe)
        return {name: getattr(found, name) for name in ("runtime", "batch_size", "threads")} if found else {}

    def layer(self, keys: Mapping[str, Any], layer: str) -> dict[str, Any]:
        """Return what a layer takes in float and on integers, and the network on integers, if both are known."""
        floats, integers = self.of(keys, FP32), self.of(keys, keys["recipe"])
        if floats is None or integers is None:
            return {}
        return {
            "float_ms": floats.layers.get(layer),
            "integer_ms": integers.layers.get(layer),
            "integer_total_ms": integers.total_ms,
            **self.where(keys, keys["recipe"]),
        }

    def mixed(self, keys: Mapping[str, Any], recipe: str, in_float: Iterable[str]) -> float | None:
        """Return what a network takes of which some layers are in float; None if that of one of them is not known."""
        floats, integers = self.of(keys, FP32), self.of(keys, recipe)
        if floats is None or integers is None:
            return None
        pairs = [(floats.layers.get(layer), integers.layers.get(layer)) for layer in in_float]
        more = [first - second for first, second in pairs if first is not None and second is not None]
        return integers.total_ms + sum(more) if len(more) == len(pairs) else None


def _place(keys: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(keys[name] for name in ("dataset", "model", "seed", "run", "recipe"))


def _rows(paths: Iterable[str | Path], folder: str | Path, times: _Times) -> Iterator[dict[str, Any]]:
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
            yield keys | whole | own | times.layer(keys, layer.layer)


def network_keys(path: str | Path, folder: str | Path) -> dict[str, Any]:
    """Return which network and recipe a file is of, by where it lies in results/<study>."""
    dataset, model, seed, *run, recipe = Path(path).relative_to(folder).parent.parts
    keys = {"dataset": dataset, "model": model, "seed": int(seed.removeprefix("seed"))}
    return keys | {"run": "/".join(run), "recipe": recipe}
