"""One tidy table over all networks of a study: a row for each, a column for each key and metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from winnow.config.settings import TrainedSettings
from winnow.results.columns import in_runtime
from winnow.results.layer_names import left_alone, left_in_float, together
from winnow.results.simulated import simulated
from winnow.results.timed import Timed, timed_configurations
from winnow.results.timed_columns import TIMED
from winnow.study.identity import Identity
from winnow.study.quality import Quality
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import RECIPE_AXES
from winnow.study.sparsity import Sparsity
from winnow.study.speed import Speed
from winnow.study.vocabulary import AXES, DENSE, KEYS, RUNTIMES, SCORED

_MB = 2**20
_UNKNOWN = TrainedSettings(seconds=None, joules=None)


def trained_elsewhere(trained: Mapping[str, Mapping[str, Any]]) -> dict[str, TrainedSettings]:
    """Return what is stated of the training of imported weights, by model, from plain values."""
    return {model: TrainedSettings.of(stated) for model, stated in trained.items()}


def collect(
    quality: Iterable[str | Path], speed: Iterable[str | Path], trained: Mapping[str, TrainedSettings]
) -> pd.DataFrame:
    """Join quality.json and speed.json files on what identifies a network, and compare with the dense one.

    Args:
        trained: by model that began with imported weights, what their training took.

    Returns:
        One row for each quality file, sorted by its keys; what was not measured is missing (NaN).
        The columns are those of `winnow.results.columns`. Where a network computes something else in a runtime
        (`*_agrees` is 0), what was timed there is missing.

    Raises:
        WinnowError: a file is damaged or lacks a value.
    """
    left = pd.DataFrame([_quality(path, trained) for path in quality])
    right = pd.DataFrame([_speed(path) for path in speed])
    table = left.merge(right, on=list(KEYS), how="left", validate="one_to_one") if len(right) else left
    return _compared(_agreeing(table)).sort_values(list(KEYS), ignore_index=True)


def _agreeing(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out what was timed in a runtime that computes something else: it is no time of this network."""
    for kind in TIMED:
        for timed in timed_configurations(table, kind):
            if timed.runtime in SCORED:
                column = timed.column(kind)
                table[column] = table[column].where(table[f"{timed.runtime}_agrees"] == 1)
    return table


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that set a network against the dense one of its data set, network, seed and recipe."""
    own = ["dataset", "model", "seed", "recipe"]
    timings = timed_configurations(table)
    compared = ["top1", "macs", *(timed.column("latency") for timed in timings)]
    dense = table[table["run"] == DENSE][[*own, *compared]]
    reference = table[own].merge(dense, on=own, how="left", validate="many_to_one").set_index(table.index)
    against = {"top1_change": (table["top1"] - reference["top1"]).where(table["run"] != DENSE)}
    against["theoretical_speedup"] = reference["macs"] / table["nonzero_macs"]
    for timed in timings:
        latency = timed.column("latency")
        against[timed.column("speedup")] = reference[latency] / table[latency]
    return pd.concat((table, pd.DataFrame(against, index=table.index)), axis=1)  # hundreds of columns at once


def _identity(record: Identity) -> dict[str, Any]:
    return {key: getattr(record, key) for key in KEYS}


def _quality(path: str | Path, trained: Mapping[str, TrainedSettings]) -> dict[str, Any]:
    record = Quality.read(path)
    stated = trained.get(record.model, _UNKNOWN)
    test, validation, size = record.test, record.validation, record.size
    coverage, training = record.coverage, record.training.whole(stated.seconds, stated.joules)
    difference = record.quantization
    deviation = difference.validation if difference else None
    row = (
        _identity(record)
        | _pruning(record.pruning)
        | _recipe(record.quantized_by)
        | _runtimes(record)
        | dict(test.further if test else {})
        | {
            "top1": test.top1 if test else None,
            "top5": test.top5 if test else None,
            "loss": test.loss if test else None,
            "validation_top1": validation.top1 if validation else None,
            "validation_loss": validation.loss if validation else None,
            "learned": int(test.learned) if test else None,
            "most_frequent_class": test.most_frequent if test else None,
            "test_samples": test.samples if test else None,
            "validation_samples": validation.samples if validation else None,
            "size_mb": size.onnx_bytes / _MB,
            "gzip_mb": size.gzip_bytes / _MB,
            "packed_mb": size.packed_bytes / _MB if size.packed_bytes else None,
            "sparse_mb": size.sparse_bytes / _MB,
            "state_dict_mb": size.state_dict_bytes / _MB,
            "parameters": size.parameters,
            "nonzero_parameters": size.nonzero_parameters,
            "macs": coverage.total_macs,
            "nonzero_macs": coverage.nonzero_macs,
            "integer_parameters": coverage.parameters,
            "layers": coverage.layers,
            "saturating_layers": len(record.saturating) if difference else None,
            "quantization_error": difference.error if difference else None,
            "sqnr_db": difference.sqnr_db if difference else None,
            "float_sqnr_db": deviation.sqnr_db if deviation else None,
            "float_agreement": deviation.agreement if deviation else None,
            "training_seconds": training.total_seconds,
            "training_joules": training.total_joules,
            "training_energy_estimated": training.energy_estimated,
            "training_device": training.device,
            "training_precision": training.precision,
        }
    )
    return simulated(row, record.quantized_by, record.multiplication)


def _runtimes(record: Quality) -> dict[str, Any]:
    """What a network computes in each runtime, whether it agrees there with the first, and what runs on integers.

    The column of accuracy in the first runtime is that of the network.
    """
    columns: dict[str, Any] = {}
    for runtime in SCORED:
        own, integer = record.runtimes[runtime], record.coverage.runtimes[runtime]
        columns |= {
            in_runtime("top1", runtime): own.scores.top1 if own.scores else None,
            in_runtime("integer_macs", runtime): integer.macs if integer else None,
            in_runtime("integer_layers", runtime): integer.integer_layers if integer else None,
            f"{runtime}_agrees": int(own.agrees),
            f"{runtime}_difference": own.difference,
            f"{runtime}_failure": own.reason,
            f"{runtime}_left_in_float": (left_in_float(integer.float_layers) or None) if integer else None,
        }
    return columns


def _pruning(record: Sparsity | None) -> dict[str, Any]:
    """What a network was pruned by; sparsity is of what may be pruned, `weight_sparsity` of the whole network."""
    if record is None:
        nothing = dict.fromkeys(
            ["strategy", *AXES, "round", "sparsity_unit", "channels_together", "channels_left_alone"]
        )
        return nothing | {"requested_sparsity": 0.0, "achieved_sparsity": 0.0, "weight_sparsity": 0.0}
    return {
        "strategy": record.strategy,
        **{axis: record.axes[axis] for axis in AXES},
        "round": record.round,
        "sparsity_unit": record.unit,
        "requested_sparsity": record.requested,
        "achieved_sparsity": record.achieved,
        "weight_sparsity": record.whole_network.sparsity,
        "channels_together": together(record.groups) or None,
        "channels_left_alone": left_alone(record.left_alone) or None,
    }


def _recipe(recipe: Recipe | None) -> dict[str, Any]:
    """How a network was quantized; an axis that its method does not use is missing."""
    return dict.fromkeys(RECIPE_AXES) | (recipe.axes if recipe else {})


def _speed(path: str | Path) -> dict[str, Any]:
    record = Speed.read(path)
    columns: dict[str, Any] = _identity(record)
    for timing in record.timings:
        timed = Timed(timing.runtime, timing.batch_size, timing.threads)
        columns[timed.column("latency")] = timing.median_ms
        columns[timed.column("low")], columns[timed.column("high")] = timing.low_ms, timing.high_ms
        columns[timed.column("p95")] = timing.p95_ms
        columns[timed.column("energy")] = timing.energy_per_image.joules * 1000
        columns[timed.column("power")] = timing.energy_per_image.watts
    machine, packages = record.machine, [runtime.package for runtime in RUNTIMES.values()]
    return columns | {
        **{f"{runtime}_untimed": record.untimed.get(runtime) for runtime in SCORED},
        "inference_energy_estimated": any(timing.energy_per_image.estimated for timing in record.timings),
        "processor": machine.processor,
        "logical_cpus": machine.logical_cpus,
        "other_load": record.other_load,
        "clock_mhz": record.clock_mhz,
        "computation": record.computation,
        "runtime_versions": ", ".join(
            f"{name} {machine.versions[name]}" for name in packages if name in machine.versions
        ),
    }
