"""One tidy table over all networks of a study: a row for each, a column for each key and metric."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from winnow.errors import WinnowError
from winnow.files import read_json
from winnow.results.layer_names import left_alone, left_in_float, together
from winnow.study.vocabulary import AXES, DENSE, KEYS, RUNTIMES, SCORED

_MB = 2**20


def collect(quality: Iterable[str | Path], speed: Iterable[str | Path]) -> pd.DataFrame:
    """Join quality.json and speed.json files on what identifies a network, and compare with the dense one.

    Returns:
        One row for each quality file, sorted by its keys; what was not measured is missing (NaN).
        `theoretical_speedup` is the dense network's multiply-accumulates over those with a weight that is not
        zero; `speedup_*` its measured latency over this one's, both in the same precision. Where a network computes
        something else in a runtime (`*_agrees` is 0), what was timed there is missing.

    Raises:
        WinnowError: a file is damaged or lacks a value.
    """
    left = pd.DataFrame([_row(path, _quality) for path in quality])
    right = pd.DataFrame([_row(path, _speed) for path in speed], columns=None)
    table = left.merge(right, on=list(KEYS), how="left", validate="one_to_one") if len(right) else left
    return _compared(_agreeing(table)).sort_values(list(KEYS), ignore_index=True)


def _agreeing(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out what was timed in a runtime that computes something else: it is no time of this network."""
    timed = re.compile(rf"(?:latency|energy|power)_({'|'.join(SCORED)})_")
    for name in table:
        if match := timed.match(name):
            table[name] = table[name].where(table[f"{match[1]}_agrees"] == 1)
    return table


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that set a network against the dense one of its data set, network, seed and precision."""
    own = ["dataset", "model", "seed", "precision"]
    measured = [name for name in table if name.startswith("latency_") and not name.endswith("_p95_ms")]
    dense = table[table["run"] == DENSE][[*own, "macs", *measured]]
    reference = table[own].merge(dense, on=own, how="left", validate="many_to_one").set_index(table.index)
    ratios = {"theoretical_speedup": reference["macs"] / table["nonzero_macs"]}
    for name in measured:
        ratios["speedup_" + name.removeprefix("latency_").removesuffix("_ms")] = reference[name] / table[name]
    return table.assign(**ratios)


def _row(path: str | Path, columns) -> dict[str, Any]:
    content = read_json(path)
    try:
        return {key: content[key] for key in KEYS} | columns(content)
    except (KeyError, TypeError) as error:
        raise WinnowError(f"{path}: lacks {error}; delete it and run again") from error


def _quality(content: dict[str, Any]) -> dict[str, Any]:
    test, size, coverage, training = (content[key] for key in ("test", "size", "coverage", "training"))
    nothing = {"error": None, "sqnr_db": None}
    difference = content["quantization"] or nothing | {"validation": {"sqnr_db": None, "agreement": None}}
    return (
        _pruning(content["pruning"])
        | _runtimes(content["runtimes"], coverage)
        | {
            "top5": test["top5"],
            "loss": test["loss"],
            "validation_top1": content["validation"]["top1"],
            "validation_loss": content["validation"]["loss"],
            "test_samples": test["samples"],
            "validation_samples": content["validation"].get("samples"),
            "size_mb": size["onnx_bytes"] / _MB,
            "gzip_mb": size["gzip_bytes"] / _MB,
            "sparse_mb": size["sparse_bytes"] / _MB,
            "state_dict_mb": size["state_dict_bytes"] / _MB,
            "parameters": size["parameters"],
            "nonzero_parameters": size["nonzero_parameters"],
            "macs": coverage["total_macs"],
            "nonzero_macs": coverage["nonzero_macs"],
            "integer_parameters": coverage["parameters"],
            "layers": coverage["layers"],
            "quantization_error": difference["error"],
            "sqnr_db": difference["sqnr_db"],
            "float_sqnr_db": difference["validation"]["sqnr_db"],
            "float_agreement": difference["validation"]["agreement"],
            "training_seconds": training["total_seconds"],
            "training_joules": training["total_joules"],
            "training_energy_estimated": training["energy_estimated"],
            "training_device": training["device"],
            "training_precision": training["precision"],
        }
    )


def _runtimes(content: dict[str, Any], coverage: dict[str, Any]) -> dict[str, Any]:
    """What a network computes in OpenVINO, whether it agrees there with ONNX Runtime, and what runs on integers."""
    columns: dict[str, Any] = {}
    for runtime in SCORED:
        own, integer = content[runtime], coverage[runtime] or {"macs": None, "integer_layers": None}
        prefix = "" if runtime == SCORED[0] else f"{runtime}_"
        columns |= {
            f"{prefix}top1": own.get("top1"),
            f"{prefix}integer_macs": integer["macs"],
            f"{prefix}integer_layers": integer["integer_layers"],
            f"{runtime}_agrees": int(own["agrees"]),
            f"{runtime}_difference": own.get("difference"),
            f"{runtime}_failure": own["reason"],
            f"{runtime}_left_in_float": left_in_float(integer.get("float_layers", [])) or None,
        }
    return columns


def _pruning(content: dict[str, Any] | None) -> dict[str, Any]:
    """What a network was pruned by; sparsity is of what may be pruned, `weight_sparsity` of the whole network."""
    if content is None:
        nothing = dict.fromkeys(
            ["strategy", *AXES, "round", "sparsity_unit", "channels_together", "channels_left_alone"]
        )
        return nothing | {"requested_sparsity": 0.0, "achieved_sparsity": 0.0, "weight_sparsity": 0.0}
    return {
        "strategy": content["strategy"],
        **{axis: content["axes"][axis] for axis in AXES},
        "round": content["round"],
        "sparsity_unit": content["unit"],
        "requested_sparsity": content["requested"],
        "achieved_sparsity": content["achieved"],
        "weight_sparsity": content["whole_network"]["sparsity"],
        "channels_together": together(content.get("groups", [])) or None,
        "channels_left_alone": left_alone(content.get("left_alone", [])) or None,
    }


def _speed(content: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for timing in content["timings"]:
        where = f"{timing['runtime']}_b{timing['batch_size']}_t{timing['threads']}"
        columns[f"latency_{where}_ms"] = timing["median_ms"]
        columns[f"latency_{where}_p95_ms"] = timing["p95_ms"]
        columns[f"energy_{where}_mj"] = timing["energy_per_image"]["joules"] * 1000
        columns[f"power_{where}_w"] = timing["energy_per_image"]["watts"]
    estimated = any(timing["energy_per_image"]["estimated"] for timing in content["timings"])
    machine = content["machine"]
    packages = (runtime.package for runtime in RUNTIMES.values())
    versions = [f"{name} {machine[name]}" for name in packages if name in machine]
    columns |= {"inference_energy_estimated": estimated, "processor": machine["processor"]}
    return columns | {"logical_cpus": machine.get("logical_cpus"), "runtime_versions": ", ".join(versions) or None}
