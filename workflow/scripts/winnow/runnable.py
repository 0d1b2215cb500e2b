"""Whether the runtimes run a model.onnx at all, with batches of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from winnow.errors import WinnowError
from winnow.runtimes import load_onnxruntime, load_openvino
from winnow.usercode import user_code

_RUNTIMES = {"ONNX Runtime": load_onnxruntime, "OpenVINO": load_openvino}
_ADVICE = "write the network for any batch size, in operators that this runtime knows"


def check_runs(path: str | Path, images: Tensor, classes: int, label: str) -> None:
    """Check that every runtime loads a file and gives a row of finite logits for each image of a batch.

    Args:
        images: float32 [N, C, H, W], N >= 3.

    Raises:
        WinnowError: one does not; names the runtime and the size of the batch.
    """
    for runtime, load in _RUNTIMES.items():
        network = load(path, 1)
        for count in (len(images), 1, 3):
            with user_code(label, f"a batch of {count} does not run in {runtime}", _ADVICE):
                _check_logits(network(images[:count].numpy()), (count, classes), f"{label}: {runtime}")


def _check_logits(logits: np.ndarray, shape: tuple[int, int], where: str) -> None:
    if logits.shape != shape:
        raise WinnowError(
            f"{where} gives {logits.shape} for {shape[0]} images, expected {shape}; write it for any batch size"
        )
    if not np.isfinite(logits).all():
        raise WinnowError(f"{where} gives logits that are not finite; scale the initial weights less")
