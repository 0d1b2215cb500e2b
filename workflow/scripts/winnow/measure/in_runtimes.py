"""What each runtime makes of a model.onnx: its logits, and whether they are those of the first that runs it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.data.prepared import Samples
from winnow.deploy.agreement import FLOAT, INT8_RUNTIMES, as_near, compared
from winnow.deploy.runtimes import Network, shipping
from winnow.measure import metrics
from winnow.study.quality import InRuntime, Tolerance
from winnow.study.vocabulary import RUNTIMES, SCORED

log = logging.getLogger(__name__)
NOT_FINITE = "gives logits that are not finite"
_BATCH = 250


@dataclass(frozen=True)
class Reference:
    """What logits are held against: those of the first runtime, [N, classes], and those of the float counterpart."""

    split: Samples
    logits: np.ndarray
    truth: np.ndarray | None


def run_on(network: Network, split: Samples) -> np.ndarray:
    """Return the logits of a split, float32 [N, classes]."""
    return np.concatenate([network(images) for images in split.batches(_BATCH)])


def not_run(reason: str) -> InRuntime:
    """Say of a runtime that it does not run a file, and why."""
    return InRuntime(runs=False, agrees=False, reason=reason)


def last_line(error: RuntimeError) -> str:
    """Return what a runtime says in the end."""
    return str(error).strip().splitlines()[-1]


def in_runtime(name: str, path: str | Path, threads: int, hint: str, reference: Reference) -> InRuntime:
    """Score what a further runtime computes from a file."""
    try:
        logits = run_on(shipping(name).load(path, threads, hint), reference.split)
    except RuntimeError as error:
        return not_run(last_line(error))
    if logits.shape != reference.logits.shape:
        return not_run(f"gives {len(logits)} rows of logits for {len(reference.split)} images")
    if not np.isfinite(logits).all():
        return not_run(NOT_FINITE)
    return held_against(reference, logits)


def held_against(reference: Reference, logits: np.ndarray) -> InRuntime:
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


def report(name: str, found: InRuntime, path: str | Path, run: str) -> None:
    """Log what a runtime does not compute."""
    label, reference = RUNTIMES[name].label, RUNTIMES[SCORED[0]].label
    if not found.runs:
        log.warning("%s: %s does not run %s: %s", run, label, path, found.reason)
    elif not found.agrees:
        log.warning(
            "%s: %s computes something else than %s from %s: logits differ by %.3g of their spread",
            *(run, label, reference, path, found.difference),
        )
