"""One definition of every quality metric."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from winnow.study.quality import Scores, Sizes
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import FULL_BITS

_TOP5_CLASSES = 20
_BINS = 15  # of confidence, as Guo et al. 2017 have it


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error (Guo et al. 2017): how far confidence is from accuracy, between 0 and 1.

    Args:
        probabilities: float64 [N, classes].
        labels: int [N].
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))


FURTHER: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {"calibration_error": calibration_error}
"""Metrics of probabilities, float64 [N, classes], and labels, int [N], by their columns in results.csv."""


def classification(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Score predictions.

    Args:
        logits: float [N, classes].
        labels: int [N].
    """
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    truth = np.arange(len(labels)), labels
    top5 = None
    if logits.shape[1] >= _TOP5_CLASSES:
        best = np.argpartition(-logits, 5, axis=1)[:, :5]
        top5 = float((best == labels[:, None]).any(1).mean())
    return Scores(
        top1=float((logits.argmax(1) == labels).mean()),
        most_frequent=float(np.bincount(labels).max() / len(labels)),
        top5=top5,
        loss=float(-log_probability[truth].mean()),
        samples=len(labels),
        further={name: metric(np.exp(log_probability), labels) for name, metric in FURTHER.items()},
    )


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Return counts [true class][predicted class].

    Args:
        logits: float [N, classes].
        labels: int [N].
    """
    classes = logits.shape[1]
    counts = np.bincount(labels * classes + logits.argmax(1), minlength=classes**2)
    return tuple(tuple(row) for row in counts.reshape(classes, classes).tolist())


def mean_absolute_error(reference: np.ndarray, value: np.ndarray) -> float:
    """Return the mean absolute difference of arrays of one shape, in their unit: the quantization error of logits."""
    return float(np.abs(value.astype(np.float64) - reference).mean())


def sqnr_db(reference: np.ndarray, value: np.ndarray) -> float | None:
    """Return the signal-to-quantization-noise ratio 10 log10(E[reference^2] / E[(value - reference)^2]) in dB.

    None where it is infinite or undefined: no difference, or no signal.

    Args:
        reference, value: float arrays of one shape.
    """
    reference = reference.astype(np.float64)
    signal, noise = np.square(reference).sum(), np.square(value - reference).sum()
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def file_sizes(path: str | Path, state_dict_bytes: int, recipe: Recipe | None = None) -> Sizes:
    """Measure what a model.onnx takes.

    Compressed is gzip at level 9. In the sparse encoding each tensor is a bit mask and its non-zero values, if that is
    smaller. Parameters are the values of the constants of at least one dimension.

    Args:
        state_dict_bytes: of the trained network; see `models.weights.state_bytes`.
        recipe: that it was quantized by; with weights of fewer than 8 bits the file could be smaller than it is.
    """
    content = Path(path).read_bytes()
    dense = sparse = parameters = nonzero = integers = 0
    for constant in onnx.load_from_string(content).graph.initializer:
        values = numpy_helper.to_array(constant)
        if not values.ndim:
            continue
        kept = int(np.count_nonzero(values))
        parameters += values.size
        nonzero += kept
        integers += values.nbytes if values.dtype == np.int8 else 0
        dense += values.nbytes
        sparse += min(values.nbytes, kept * values.itemsize + math.ceil(values.size / 8))
    spared = (FULL_BITS - recipe.weight_bits) if recipe else 0
    return Sizes(
        onnx_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, 9, mtime=0)),
        sparse_bytes=len(content) - dense + sparse,
        packed_bytes=len(content) - integers * spared // FULL_BITS if spared else None,
        state_dict_bytes=state_dict_bytes,
        parameters=parameters,
        nonzero_parameters=nonzero,
    )
