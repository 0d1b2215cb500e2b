"""Whether the runtimes run a model.onnx at all, with batches of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from winnow.deploy.runtimes import Network, load_onnxruntime, load_openvino, openvino_failure
from winnow.errors import WinnowError
from winnow.models.user_code import user_code

_ADVICE = "write the network for any batch size, in operators that this runtime knows"


def check_runs(path: str | Path, images: Tensor, classes: int, label: str) -> str | None:
    """Check that a file gives a row of finite logits for each image of a batch, in both runtimes.

    Args:
        images: float32 [N, C, H, W].

    Returns:
        Why OpenVINO does not load the file, which every row of the study will say too; None if it does.

    Raises:
        WinnowError: ONNX Runtime does not load it, or one of them fails; names the runtime and the size of the batch.
    """
    _check_runtime(load_onnxruntime(path, 1), "ONNX Runtime", images, classes, label)
    if (failure := openvino_failure(path)) is None:
        _check_runtime(load_openvino(path, 1), "OpenVINO", images, classes, label)
    return failure


def _check_runtime(network: Network, runtime: str, images: Tensor, classes: int, label: str) -> None:
    for count in {len(images), 1, min(3, len(images))}:
        with user_code(label, f"a batch of {count} does not run in {runtime}", _ADVICE):
            _check_logits(network(images[:count].numpy()), (count, classes), f"{label}: {runtime}")


def _check_logits(logits: np.ndarray, shape: tuple[int, int], where: str) -> None:
    if logits.shape != shape:
        raise WinnowError(
            f"{where} gives {logits.shape} for {shape[0]} images, expected {shape}; write it for any batch size"
        )
    if not np.isfinite(logits).all():
        raise WinnowError(f"{where} gives logits that are not finite; scale the initial weights less")
