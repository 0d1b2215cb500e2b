"""The quality of one model.onnx: what would be shipped is what is scored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from winnow import metrics
from winnow.batches import Split
from winnow.data import ImageDataset
from winnow.errors import WinnowError
from winnow.layers import layer_sqnr
from winnow.runtimes import Network, executed_layers, load_onnxruntime, load_openvino, openvino_precisions

_BATCH = 250
_LAYER_IMAGES = 128
_OPENVINO_INTEGER = {"u8", "i8"}
STATIC = ("ptq", "qat")


def evaluate(
    path: str | Path, source: str | Path, data: ImageDataset, *, run: str, precision: str, threads: int
) -> dict[str, Any]:
    """Score a model.onnx and compare it with the fp32 file it was made from.

    Args:
        path, source: the file to score, and its fp32 source (the same file for fp32).
        precision: `fp32`, `dynamic`, `ptq` or `qat`; decides which invariants hold.

    Returns:
        test and validation scores, the confusion matrix, the difference from the source over the test split,
        coverage by integer operators, and sizes.

    Raises:
        WinnowError: a layer that should run on integers does not.
    """
    shape = (data.channels, data.size, data.size)
    result: dict[str, Any] = {"coverage": _coverage(path, source, shape, run, precision)}
    network = load_onnxruntime(path, threads)
    test, validation = (Split.of(data, name, torch.device("cpu")) for name in ("test", "validation"))
    logits = _logits(network, test, run)
    result["test"] = metrics.classification(logits, test.labels.numpy())
    result["test"]["confusion"] = metrics.confusion_matrix(logits, test.labels.numpy())
    result["validation"] = metrics.classification(_logits(network, validation, run), validation.labels.numpy())
    in_openvino = _logits(load_openvino(path, threads), test, run)
    result["openvino"] = metrics.classification(in_openvino, test.labels.numpy())
    result["quantization"] = None
    if precision != "fp32":
        expected = _logits(load_onnxruntime(source, threads), test, run)
        images = test.normalized(test.images[:_LAYER_IMAGES]).contiguous().numpy()
        result["quantization"] = {
            "error": metrics.mean_absolute_error(expected, logits),
            "sqnr_db": metrics.sqnr_db(expected, logits),
            "layers": layer_sqnr(source, path, images),
        }
    result["size"] = metrics.file_sizes(path)
    return result


def _logits(network: Network, split: Split, run: str) -> np.ndarray:
    logits = np.concatenate([network(images.contiguous().numpy()) for images, _ in split.batches(_BATCH)])
    if not np.isfinite(logits).all():
        raise WinnowError(
            f"{run}: the exported network gives logits that are not finite; train it again or differently"
        )
    return logits


def _coverage(
    path: str | Path, source: str | Path, shape: tuple[int, int, int], run: str, precision: str
) -> dict[str, Any]:
    """Count what runs on integers, and check that for a quantized network this is every layer."""
    expected, layers = executed_layers(source, shape, optimize=False), executed_layers(path, shape)
    integer = [layer for layer in layers if layer.integer]
    openvino = openvino_precisions(path)
    openvino_integer = sum(count for kind, count in openvino.items() if kind in _OPENVINO_INTEGER)
    counts = {"ONNX Runtime": len(integer)}
    if precision in STATIC:  # OpenVINO turns ONNX's dynamic operators back into floating point
        counts["OpenVINO"] = openvino_integer
    for runtime, count in counts.items():
        wanted = 0 if precision == "fp32" else len(expected)
        if count != wanted:
            raise WinnowError(
                f"{run}: {runtime} runs {count} of {len(expected)} convolutions and linears of {path} on integers, "
                f"expected {wanted}; this network has an operator the quantizer cannot fuse: leave out "
                f"{precision} for it"
            )
    macs, parameters = sum(layer.macs for layer in expected), sum(layer.parameters for layer in expected)
    return {
        "layers": len(expected),
        "integer_layers": len(integer),
        "openvino_integer_layers": openvino_integer,
        "parameters": sum(layer.parameters for layer in integer) / parameters,
        "macs": sum(layer.macs for layer in integer) / macs,
        "total_macs": macs,
        "nonzero_macs": sum(layer.nonzero_macs for layer in expected),
        "operators": dict(Counter(layer.operator for layer in layers)),
    }
