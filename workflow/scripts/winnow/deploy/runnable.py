"""Whether the runtimes run a model.onnx at all, with batches of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from winnow.deploy.runtimes import Network, failures, shipping
from winnow.errors import WinnowError
from winnow.models.user_code import user_code
from winnow.study.vocabulary import RUNTIMES, SCORED

_ADVICE = "write the network for any batch size, in operators that this runtime knows"


def check_runs(path: str | Path, images: np.ndarray, classes: int, label: str) -> dict[str, str]:
    """Check that a file gives a row of finite logits for each image of a batch, in every runtime that ships.

    Args:
        images: as the file takes them, [N, C, H, W].

    Returns:
        Why a runtime does not load the file, which every row of the study will say too; by runtime.

    Raises:
        WinnowError: the first runtime does not load it, or one of them fails; names it and the size of the batch.
    """
    failed = failures(path)
    for name in SCORED:
        if name not in failed:
            _check_runtime(shipping(name).load(path, 1), RUNTIMES[name].label, images, classes, label)
    return failed


def _check_runtime(network: Network, runtime: str, images: np.ndarray, classes: int, label: str) -> None:
    for count in {len(images), 1, min(3, len(images))}:
        with user_code(label, f"a batch of {count} does not run in {runtime}", _ADVICE):
            _check_logits(network(images[:count]), (count, classes), f"{label}: {runtime}")


def _check_logits(logits: np.ndarray, shape: tuple[int, int], where: str) -> None:
    if logits.shape != shape:
        raise WinnowError(
            f"{where} gives {logits.shape} for {shape[0]} images, expected {shape}; write it for any batch size"
        )
    if not np.isfinite(logits).all():
        raise WinnowError(f"{where} gives logits that are not finite; scale the initial weights less")
