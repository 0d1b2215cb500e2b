"""The quality of one model.onnx: what would be shipped is what is scored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from winnow.config.settings import BoundsSettings
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.deploy.agreement import FLOAT, INT8_RUNTIMES, compared
from winnow.deploy.coverage import check_coverage, coverage_record, measure_coverage
from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.operations import count_operations
from winnow.deploy.runtimes import Network, shipping
from winnow.errors import WinnowError
from winnow.measure import metrics
from winnow.measure.counterpart import check_deviation, compare_with_float
from winnow.measure.layer_noise import layer_sqnr
from winnow.study.vocabulary import FP32, PRECISIONS, RUNTIMES, SCORED

log = logging.getLogger(__name__)
_BATCH = 250
_LAYER_IMAGES = 128


def evaluate(
    path: str | Path,
    source: str | Path,
    counterpart: str | Path,
    data: ImageDataset,
    *,
    run: str,
    precision: str,
    bounds: BoundsSettings,
    threads: int,
) -> dict[str, Any]:
    """Score a model.onnx, and compare it with the float files it was made from and stands for.

    Args:
        path: the file to score.
        source: the fp32 file of its run (the same file for fp32).
        counterpart: the float network that a quantized one must compute, see `counterpart`.
        precision: `fp32`, `dynamic`, `ptq` or `qat`; decides which invariants hold.

    Returns:
        `test` and `validation` scores and the confusion matrix in ONNX Runtime; `runtimes`, the scores in each and
        whether it agrees with ONNX Runtime; `quantization`, the difference from the source over the test split and from
        the counterpart over the validation split; `coverage` by integer operators; `size`.

    Raises:
        WinnowError: too little of a quantized network runs on integers, or it computes something else than its
            counterpart.
    """
    failures = {name: shipping(name).failure(path) for name in SCORED}
    runs = [name for name, reason in failures.items() if reason is None]
    result: dict[str, Any] = {"coverage": _coverage(path, source, data, run, precision, bounds, runs)}
    load = shipping(SCORED[0]).load
    network = load(path, threads)
    test, validation = (Split.of(data, name, torch.device("cpu")) for name in ("test", "validation"))
    logits, validated = _logits(network, test, run), _logits(network, validation, run)
    result["test"] = metrics.classification(logits, test.labels.numpy())
    result["test"]["confusion"] = metrics.confusion_matrix(logits, test.labels.numpy())
    result["validation"] = metrics.classification(validated, validation.labels.numpy())
    result["quantization"] = None
    if precision != FP32:
        first = lambda split: split.normalized(split.images[:_LAYER_IMAGES]).contiguous().numpy()
        expected = _logits(load(counterpart, threads), validation, run)
        found = compare_with_float(expected, validated)
        check_deviation(found, path, counterpart, first(validation), run, bounds)
        expected = _logits(load(source, threads), test, run)
        result["quantization"] = {
            "error": metrics.mean_absolute_error(expected, logits),
            "sqnr_db": metrics.sqnr_db(expected, logits),
            "validation": found,
            "layers": layer_sqnr(source, path, first(test)),
        }
    result["runtimes"] = {SCORED[0]: _compared(logits, logits, test, precision)}
    for name in SCORED[1:]:
        reason = failures[name]
        found = _failed(reason) if reason else _in_runtime(name, path, threads, logits, test, precision)
        result["runtimes"][name] = found
        _report(name, found, path, run)
    result["size"] = metrics.file_sizes(path)
    return result


def _in_runtime(
    name: str, path: str | Path, threads: int, reference: np.ndarray, split: Split, precision: str
) -> dict[str, Any]:
    try:
        logits = _run(shipping(name).load(path, threads), split)
    except RuntimeError as error:
        return _failed(str(error).strip().splitlines()[-1])
    if logits.shape != reference.shape:
        return _failed(f"gives {len(logits)} rows of logits for {len(split)} images")
    if not np.isfinite(logits).all():
        return _failed("gives logits that are not finite")
    return _compared(logits, reference, split, precision)


def _failed(reason: str) -> dict[str, Any]:
    return {"runs": False, "reason": reason, "agrees": False}


def _compared(logits: np.ndarray, reference: np.ndarray, split: Split, precision: str) -> dict[str, Any]:
    """Score what a runtime computes, and say whether it is what the reference computes."""
    tolerance, found = FLOAT if precision == FP32 else INT8_RUNTIMES, compared(reference, logits)
    return metrics.classification(logits, split.labels.numpy()) | {
        "runs": True,
        "reason": None,
        "difference": found.difference,
        "predictions": found.predictions,
        "tolerance": {"difference": tolerance.difference, "predictions": tolerance.predictions},
        "agrees": tolerance.holds(found),
    }


def _report(name: str, found: dict[str, Any], path: str | Path, run: str) -> None:
    label, reference = RUNTIMES[name].label, RUNTIMES[SCORED[0]].label
    if not found["runs"]:
        log.warning("%s: %s does not run %s: %s", run, label, path, found["reason"])
    elif not found["agrees"]:
        log.warning(
            "%s: %s computes something else than %s from %s: logits differ by %.3g of their spread",
            *(run, label, reference, path, found["difference"]),
        )


def _run(network: Network, split: Split) -> np.ndarray:
    return np.concatenate([network(images.contiguous().numpy()) for images, _ in split.batches(_BATCH)])


def _logits(network: Network, split: Split, run: str) -> np.ndarray:
    logits = _run(network, split)
    if not np.isfinite(logits).all():
        raise WinnowError(
            f"{run}: the exported network gives logits that are not finite; train it again or differently"
        )
    return logits


def _coverage(
    path: str | Path,
    source: str | Path,
    data: ImageDataset,
    run: str,
    precision: str,
    bounds: BoundsSettings,
    runtimes: Sequence[str],
) -> dict[str, Any]:
    """Count what runs on integers, and check that it is enough."""
    shape = data.task.shape
    coverages = [measure_coverage(path, shape, name) for name in runtimes]
    for coverage in coverages:
        if precision == FP32 or RUNTIMES[coverage.runtime].on_integers(PRECISIONS[precision]):
            graph = Graph(read_model(path).graph)
            check_coverage(coverage, graph, run=run, precision=precision, least=bounds.min_integer_macs)
    operations = count_operations(source, shape)
    return coverage_record(path, coverages) | {
        "total_macs": sum(operation.macs for operation in operations),
        "nonzero_macs": sum(operation.nonzero_macs for operation in operations),
    }
