"""Further tidy tables beside results.csv: per layer, per class and per epoch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from winnow.errors import WinnowError
from winnow.files import safetensors_metadata
from winnow.study.quality import Quality
from winnow.study.vocabulary import DENSE, FP32, KEYS

LAYER_COLUMNS = [*KEYS, "position", "layer", "metric", "value"]
CONFUSION_COLUMNS = [*KEYS, "true", "predicted", "true_class", "predicted_class", "count"]


def collect_layers(quality: Iterable[str | Path]) -> pd.DataFrame:
    """Gather what is known of single layers.

    Returns:
        Long form: the keys of results.csv, position (from 0, in the order of the network), layer, metric and value.
        Metric `sparsity` (share of the layer's weights that is gone; rows of precision fp32 only) or `sqnr_db`
        (missing where the layer is exact).

    Raises:
        WinnowError: a file is damaged or lacks a value.
    """
    return pd.DataFrame(list(_rows(quality, _layers)), columns=LAYER_COLUMNS)


def collect_confusion(quality: Iterable[str | Path], data: Iterable[str | Path]) -> pd.DataFrame:
    """Gather the confusion matrices of the dense networks over the test split.

    Args:
        data: the prepared data sets, for the names of their classes.

    Returns:
        The keys of results.csv, true and predicted label, their names, and the count of images; no rows of count 0.
    """
    metadata = [safetensors_metadata(path) for path in data]
    names = {entry["name"]: json.loads(entry["classes"]) for entry in metadata}
    return pd.DataFrame(list(_rows(quality, lambda record: _confusion(record, names))), columns=CONFUSION_COLUMNS)


def collect_histories(paths: Iterable[str | Path], folder: str | Path, precisions: Mapping[str, str]) -> pd.DataFrame:
    """Gather the histories of training runs, finished or running.

    Args:
        paths: history.csv files.
        folder: results/<study>, which they lie in.
        precisions: by the recipes of the study.

    Returns:
        The keys of results.csv, where `precision` is `fp32` or `qat`, and the columns of `history.Epoch`.
    """
    tables = []
    for path in paths:
        try:
            table = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise WinnowError(f"{path}: not readable as CSV ({error}); delete it and run again") from error
        if len(table):
            tables.append(pd.DataFrame([_keys(path, folder, precisions)] * len(table)).join(table))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*KEYS, "epoch"])


def _keys(path: str | Path, folder: str | Path, precisions: Mapping[str, str]) -> dict[str, Any]:
    dataset, model, seed, *run = Path(path).relative_to(folder).parent.parts
    recipe = run.pop() if run[-1] in precisions else FP32
    values = (dataset, model, int(seed.removeprefix("seed")), "/".join(run), recipe, precisions[recipe])
    return dict(zip(KEYS, values, strict=True))


def _rows(paths: Iterable[str | Path], rows: Callable[[Quality], Iterable[tuple[Any, ...]]]) -> Iterator[list[Any]]:
    for path in paths:
        record = Quality.read(path)
        yield from ([*(getattr(record, key) for key in KEYS), *row] for row in rows(record))


def _layers(record: Quality) -> Iterator[tuple[Any, ...]]:
    if record.pruning and record.precision == FP32:
        for position, layer in enumerate(record.pruning.layers):
            yield position, layer.layer, "sparsity", layer.sparsity
    if record.quantization:
        for position, noise in enumerate(record.quantization.layers):
            yield position, noise.layer, "sqnr_db", noise.sqnr_db


def _confusion(record: Quality, names: Mapping[str, list[str]]) -> Iterator[tuple[Any, ...]]:
    if record.run != DENSE:
        return
    classes = names[record.dataset]
    for true, row in enumerate(record.confusion):
        for predicted, count in enumerate(row):
            if count:
                yield true, predicted, classes[true], classes[predicted], count
