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
from winnow.deploy.coverage import check_coverage, coverage_record, measure_coverage
from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.inputs import read_input
from winnow.deploy.operations import count_operations
from winnow.deploy.overflow import saturating_layers
from winnow.deploy.runtimes import Network, failures, shipping
from winnow.errors import WinnowError
from winnow.measure import metrics
from winnow.measure.counterpart import check_deviation, compare_with_float, demands
from winnow.measure.in_runtimes import (
    NOT_FINITE,
    Reference,
    held_against,
    in_runtime,
    last_line,
    not_run,
    report,
    run_on,
)
from winnow.measure.layer_noise import layer_sqnr
from winnow.measure.multiplied import multiplication_of
from winnow.study.identity import Identity
from winnow.study.quality import Coverage, Quality, Quantization
from winnow.study.recipe import Recipe
from winnow.study.sparsity import Sparsity
from winnow.study.training import Training
from winnow.study.vocabulary import FP32, PRECISIONS, RUNTIMES, SCORED

log = logging.getLogger(__name__)
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
        source: the fp32 file of its run (the same file for fp32, and what runtimes are told to compute otherwise).
        counterpart: the float network that a quantized one must compute, see `counterpart`.
    """

    path: str | Path
    source: str | Path
    counterpart: str | Path

    def by_layer(self, recipe: Recipe | None) -> bool:
        """Whether its layers can be told from those of the source, and compute in the same scale."""
        return self.path != self.source and not (recipe and recipe.rescales_layers)


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

    Scores are those of the first runtime that computes it in its precision; where this processor has no such numbers,
    none are there.

    Args:
        identity: whose precision decides which invariants hold.

    Raises:
        WinnowError: too little of a quantized network runs on integers, or it computes something else than its
            counterpart.
    """
    hint = PRECISIONS[identity.precision].hint
    failed = failures(files.path, hint=hint)
    runs = [name for name in SCORED if name not in failed]
    bounds = demands(bounds, origin.recipe)
    record = partial(
        Quality,
        **asdict(identity),
        coverage=_coverage(files, data.task.shape, run, identity.precision, bounds, runs),
        saturating=saturating_layers(files.path),
        size=metrics.file_sizes(files.path, origin.state_dict_bytes, origin.recipe),
        training=origin.training,
        pruning=origin.pruning,
        quantized_by=origin.recipe,
        multiplication=multiplication_of(files.path),
    )
    taken = read_input(files.path)  # the float files beside it are of the same study
    test, validation = (taken.samples(data.split(name)) for name in ("test", "validation"))
    computed: list[np.ndarray] | str = ""
    if runs:
        computed = _computed(shipping(runs[0]).load(files.path, threads, hint), (test, validation), run, hint)
    if isinstance(computed, str):
        runtimes = {name: not_run(failed.get(name, computed)) for name in SCORED}
        for name, found in runtimes.items():
            report(name, found, files.path, run)
        return record(test=None, confusion=(), validation=None, quantization=None, runtimes=runtimes)
    logits, validated = computed
    quantization = truth = None
    if identity.precision != FP32:
        quantization, truth = _quantization(
            files, origin.recipe, test, logits, validation, validated, bounds, run=run, threads=threads
        )
    reference = Reference(test, logits, truth)
    runtimes = {name: not_run(reason) for name, reason in failed.items()}
    runtimes[runs[0]] = held_against(reference, logits)
    runtimes |= {name: in_runtime(name, files.path, threads, hint, reference) for name in runs[1:]}
    for name, found in runtimes.items():
        report(name, found, files.path, run)
    scores = metrics.classification(logits, test.labels)
    if not scores.learned:
        as_imported = not origin.training.trained_here and origin.pruning is None
        log.warning(
            "%s: has learned nothing: %.2f %% of %d test images are right, and %.2f %% are of the most frequent "
            "class%s",
            *(run, 100 * scores.top1, scores.samples, 100 * scores.most_frequent, _USUAL_CAUSES if as_imported else ""),
        )
    return record(
        test=scores,
        confusion=metrics.confusion_matrix(logits, test.labels),
        validation=metrics.classification(validated, validation.labels),
        quantization=quantization,
        runtimes={name: runtimes[name] for name in SCORED},
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
    check_deviation(found, files.path, files.counterpart, validation.few(_LAYER_IMAGES), run, bounds, recipe)
    truth = _logits(counterpart, test, run)
    expected = truth if files.counterpart == files.source else _logits(load(files.source, threads), test, run)
    quantization = Quantization(
        error=metrics.mean_absolute_error(expected, logits),
        sqnr_db=metrics.sqnr_db(expected, logits),
        validation=found,
        layers=layer_sqnr(files.source, files.path, test.few(_LAYER_IMAGES)) if files.by_layer(recipe) else (),
    )
    return quantization, truth


def _computed(network: Network, splits: Sequence[Samples], run: str, hint: str) -> list[np.ndarray] | str:
    """Return the logits of each split; in a precision that was asked for by a hint, else in a line why there are none.

    Raises:
        WinnowError: in the precision of the file they are not finite.
    """
    if not hint:
        return [_logits(network, split, run) for split in splits]
    try:
        logits = [run_on(network, split) for split in splits]
    except RuntimeError as error:
        return last_line(error)
    return logits if all(np.isfinite(found).all() for found in logits) else NOT_FINITE


def _logits(network: Network, split: Samples, run: str) -> np.ndarray:
    logits = run_on(network, split)
    if not np.isfinite(logits).all():
        raise WinnowError(f"{run}: the exported network {NOT_FINITE}; train it again or differently")
    return logits


def _coverage(
    files: Files, shape: tuple[int, int, int], run: str, precision: str, bounds: BoundsSettings, runtimes: Sequence[str]
) -> Coverage:
    """Count what runs on integers, and check that it is enough."""
    word, coverages = PRECISIONS[precision], [measure_coverage(files.path, shape, name) for name in runtimes]
    for coverage in coverages:
        if not word.integers or RUNTIMES[coverage.runtime].on_integers(word):
            graph = Graph(read_model(files.path).graph)
            check_coverage(coverage, graph, run=run, precision=precision, least=bounds.min_integer_macs)
    operations, source = (tuple(count_operations(path, shape)) for path in (files.path, files.source))
    return coverage_record(files.path, operations, source, coverages)
