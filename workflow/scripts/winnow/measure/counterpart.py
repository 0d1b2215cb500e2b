"""A quantized network held against the float network that it stands for.

That is the run's fp32 file for what was quantized after training, and for quantization-aware training, whose weights
moved on, its own trained weights in float.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from winnow.config.settings import BoundsSettings
from winnow.deploy.agreement import compared
from winnow.errors import WinnowError
from winnow.measure import metrics
from winnow.measure.layer_noise import layer_sqnr


def compare_with_float(expected: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Compare the logits [N, classes] of a quantized network with those of its float counterpart.

    Returns:
        `error` (mean absolute difference), `sqnr_db` (None where exact), `agreement` (share of the decided images that
        get the same class, see `agreement.Agreement`; None if there is no decided one) and `samples`.
    """
    return {
        "error": metrics.mean_absolute_error(expected, logits),
        "sqnr_db": metrics.sqnr_db(expected, logits),
        "agreement": compared(expected, logits).predictions,
        "samples": len(logits),
    }


def check_deviation(
    found: dict[str, Any],
    path: str | Path,
    counterpart: str | Path,
    images: np.ndarray,
    run: str,
    bounds: BoundsSettings,
) -> None:
    """Refuse a quantized network that computes something else than its float counterpart.

    Args:
        found: what `compare_with_float` returns.
        images: float32 [N, C, H, W], to look for the layer with.

    Raises:
        WinnowError: the noise or the share of other predictions is beyond its bound; names the first layer from which
            on the noise is.
    """
    sqnr, agreement = found["sqnr_db"], found["agreement"]
    misses = []
    if sqnr is not None and not sqnr >= bounds.min_sqnr_db:
        misses.append(f"SQNR of the logits {sqnr:.1f} dB, quantization.min_sqnr_db is {bounds.min_sqnr_db:g}")
    if agreement is not None and not agreement >= bounds.min_agreement:
        misses.append(
            f"{100 * agreement:.1f} % of decided predictions equal, "
            f"quantization.min_agreement is {bounds.min_agreement:g}"
        )
    if misses:
        raise WinnowError(
            f"{run}: {path} deviates grossly from {counterpart} on {found['samples']} validation images "
            f"({'; '.join(misses)}); {_first_layer(path, counterpart, images, bounds.min_sqnr_db)}; leave "
            "this precision out for the network, or lower the bound if such a loss is wanted"
        )


def _first_layer(path: str | Path, counterpart: str | Path, images: np.ndarray, bound: float) -> str:
    layers = [layer for layer in layer_sqnr(counterpart, path, images) if layer["sqnr_db"] is not None]
    if not layers:
        return "no layer of the two files could be compared"
    first = next((layer for layer in layers if layer["sqnr_db"] < bound), None)
    if first:
        return f"it begins in layer {first['layer']} ({first['sqnr_db']:.1f} dB)"
    worst = min(layers, key=lambda layer: layer["sqnr_db"])
    return f"no layer is that noisy, the noisiest is {worst['layer']} ({worst['sqnr_db']:.1f} dB)"
