"""The quality of one model.onnx: what would be shipped is what is scored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from winnow.config.settings import BoundsSettings
from winnow.data.prepared import Prepared, Samples
from winnow.deploy.agreement import FLOAT, INT8_RUNTIMES, as_near, compared
from winnow.deploy.coverage import check_coverage, coverage_record, measure_coverage
from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.operations import count_operations
from winnow.deploy.overflow import saturating_layers
from winnow.deploy.runtimes import Network, failures, shipping
from winnow.errors import WinnowError
from winnow.measure import metrics
from winnow.measure.counterpart import check_deviation, compare_with_float, demands
from winnow.measure.layer_noise import layer_sqnr
from winnow.measure.multiplied import multiplication_of
from winnow.study.identity import Identity
from winnow.study.quality import Coverage, InRuntime, Quality, Quantization, Tolerance
from winnow.study.recipe import Recipe
from winnow.study.sparsity import Sparsity
from winnow.study.training import Training
from winnow.study.vocabulary import FP32, PRECISIONS, RUNTIMES, SCORED

log = logging.getLogger(__name__)
_BATCH = 250
_LAYER_IMAGES = 128
_USUAL_CAUSES = (
    ", although it was trained before. The usual causes: its classes were in another order than the folders' "
    "alphabetical one (`classes`); its images were resized or cropped otherwise (`resize`, `crop`, `interpolation`); "
    "their channels were in another order, or their values in another range (`channel_order`, `value_range`); or they "
    "were normalized by another mean and standard deviation (`mean`, `std`). Each is a key of the data set"
)


@dataclass(frozen=True)
class Files:
    """What is scored, and what it is held against.

    Attributes:
        path: the file that would ship.
        source: the fp32 file of its run (the same file for fp32).
        counterpart: the float network that a quantized one must compute, see `counterpart`.
    """

    path: str | Path
    source: str | Path
    counterpart: str | Path


@dataclass(frozen=True)
class Origin:
    """What a file was made from: the bytes of the trained state dict, its training run, its round of pruning, and the
    recipe that it was quantized by."""

    state_dict_bytes: int
    training: Training
    pruning: Sparsity | None
    recipe: Recipe | None


def evaluate(
    files: Files,
    data: Prepared,
    identity: Identity,
    origin: Origin,
    bounds: BoundsSettings,
    *,
    run: str,
    threads: int,
) -> Quality:
    """Score a model.onnx, and compare it with the float files it was made from and stands for.

    Args:
        identity: whose precision decides which invariants hold.

    Raises:
        WinnowError: too little of a quantized network runs on integers, or it computes something else than its
            counterpart.
    """
    failed = failures(files.path)
    runs = [name for name in SCORED if name not in failed]
    bounds = demands(bounds, origin.recipe)
    coverage = _coverage(files, data.task.shape, run, identity.precision, bounds, runs)
    network = shipping(SCORED[0]).load(files.path, threads)
    test, validation = (data.split(name) for name in ("test", "validation"))
    logits, validated = _logits(network, test, run), _logits(network, validation, run)
    quantization = truth = None
    if identity.precision != FP32:
        quantization, truth = _quantization(
            files, origin.recipe, test, logits, validation, validated, bounds, run=run, threads=threads
        )
    reference = _Reference(test, logits, truth)
    runtimes = {SCORED[0]: _compared(logits, reference)}
    for name in SCORED[1:]:
        runtimes[name] = (
            InRuntime(runs=False, agrees=False, reason=failed[name])
            if name in failed
            else _in_runtime(name, files.path, threads, reference)
        )
        _report(name, runtimes[name], files.path, run)
    scores = metrics.classification(logits, test.labels)
    if not scores.learned:
        as_imported = not origin.training.trained_here and origin.pruning is None
        log.warning(
            "%s: has learned nothing: %.2f %% of %d test images are right, and %.2f %% are of the most frequent "
            "class%s",
            *(run, 100 * scores.top1, scores.samples, 100 * scores.most_frequent, _USUAL_CAUSES if as_imported else ""),
        )
    return Quality(
        **asdict(identity),
        test=scores,
        confusion=metrics.confusion_matrix(logits, test.labels),
        validation=metrics.classification(validated, validation.labels),
        quantization=quantization,
        runtimes=runtimes,
        coverage=coverage,
        saturating=saturating_layers(files.path),
        size=metrics.file_sizes(files.path, origin.state_dict_bytes, origin.recipe),
        training=origin.training,
        pruning=origin.pruning,
        quantized_by=origin.recipe,
        multiplication=multiplication_of(files.path),
    )


def _quantization(
    files: Files,
    recipe: Recipe | None,
    test: Samples,
    logits: np.ndarray,
    validation: Samples,
    validated: np.ndarray,
    bounds: BoundsSettings,
    *,
    run: str,
    threads: int,
) -> tuple[Quantization, np.ndarray]:
    """Compare with the float counterpart on validation images, which must hold, and with the source on test images.

    Returns:
        What was found, and the logits of the counterpart on the test split, float32 [N, classes].
    """
    load = shipping(SCORED[0]).load
    counterpart = load(files.counterpart, threads)
    found = compare_with_float(_logits(counterpart, validation, run), validated)
    check_deviation(found, files.path, files.counterpart, _first(validation), run, bounds)
    truth = _logits(counterpart, test, run)
    expected = truth if files.counterpart == files.source else _logits(load(files.source, threads), test, run)
    quantization = Quantization(
        error=metrics.mean_absolute_error(expected, logits),
        sqnr_db=metrics.sqnr_db(expected, logits),
        validation=found,
        layers=() if recipe and recipe.rescales_layers else layer_sqnr(files.source, files.path, _first(test)),
    )
    return quantization, truth


def _first(split: Samples) -> np.ndarray:
    return split.normalized(0, _LAYER_IMAGES)


@dataclass(frozen=True)
class _Reference:
    """What logits are held against: those of the first runtime, [N, classes], and those of the float counterpart."""

    split: Samples
    logits: np.ndarray
    truth: np.ndarray | None


def _in_runtime(name: str, path: str | Path, threads: int, reference: _Reference) -> InRuntime:
    failed = partial(InRuntime, False, False)
    try:
        logits = _run(shipping(name).load(path, threads), reference.split)
    except RuntimeError as error:
        return failed(str(error).strip().splitlines()[-1])
    if logits.shape != reference.logits.shape:
        return failed(f"gives {len(logits)} rows of logits for {len(reference.split)} images")
    if not np.isfinite(logits).all():
        return failed("gives logits that are not finite")
    return _compared(logits, reference)


def _compared(logits: np.ndarray, reference: _Reference) -> InRuntime:
    """Score what a runtime computes, and say whether it is what the reference computes."""
    found, from_float = compared(reference.logits, logits), None
    tolerance = FLOAT if reference.truth is None else INT8_RUNTIMES
    agrees = tolerance.holds(found)
    if reference.truth is not None:
        away = compared(reference.truth, logits)
        agrees, from_float = agrees or as_near(away, compared(reference.truth, reference.logits)), away.difference
    return InRuntime(
        runs=True,
        agrees=agrees,
        scores=metrics.classification(logits, reference.split.labels),
        difference=found.difference,
        predictions=found.predictions,
        tolerance=Tolerance(tolerance.difference, tolerance.predictions),
        from_float=from_float,
    )


def _report(name: str, found: InRuntime, path: str | Path, run: str) -> None:
    label, reference = RUNTIMES[name].label, RUNTIMES[SCORED[0]].label
    if not found.runs:
        log.warning("%s: %s does not run %s: %s", run, label, path, found.reason)
    elif not found.agrees:
        log.warning(
            "%s: %s computes something else than %s from %s: logits differ by %.3g of their spread",
            *(run, label, reference, path, found.difference),
        )


def _run(network: Network, split: Samples) -> np.ndarray:
    return np.concatenate([network(images) for images in split.batches(_BATCH)])


def _logits(network: Network, split: Samples, run: str) -> np.ndarray:
    logits = _run(network, split)
    if not np.isfinite(logits).all():
        raise WinnowError(
            f"{run}: the exported network gives logits that are not finite; train it again or differently"
        )
    return logits


def _coverage(
    files: Files, shape: tuple[int, int, int], run: str, precision: str, bounds: BoundsSettings, runtimes: Sequence[str]
) -> Coverage:
    """Count what runs on integers, and check that it is enough."""
    coverages = [measure_coverage(files.path, shape, name) for name in runtimes]
    for coverage in coverages:
        if precision == FP32 or RUNTIMES[coverage.runtime].on_integers(PRECISIONS[precision]):
            graph = Graph(read_model(files.path).graph)
            check_coverage(coverage, graph, run=run, precision=precision, least=bounds.min_integer_macs)
    return coverage_record(files.path, count_operations(files.source, shape), coverages)
