"""A quantized network held against the float network that it stands for.

That is the run's fp32 file for what was quantized after training, and for quantization-aware training, whose weights
moved on, its own trained weights in float.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from winnow.config.settings import BoundsSettings
from winnow.deploy.agreement import compared
from winnow.errors import WinnowError
from winnow.measure import metrics
from winnow.measure.layer_noise import layer_sqnr
from winnow.study.quality import Deviation
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import PTQ

_FORGIVING = ("mean", "entropy")  # observers that a few images of huge values do not sway


def demands(bounds: BoundsSettings, recipe: Recipe | None) -> BoundsSettings:
    """Return what a network must reach: what its recipe gives up on purpose is measured, and no mistake."""
    if recipe and (recipe.keep_float or recipe.approximate):
        bounds = replace(bounds, min_integer_macs=0.0)
    if recipe and (recipe.fewer_levels or recipe.approximate):
        bounds = replace(bounds, min_sqnr_db=float("-inf"), min_agreement=0.0)
    return bounds


def compare_with_float(expected: np.ndarray, logits: np.ndarray) -> Deviation:
    """Compare the logits [N, classes] of a quantized network with those of its float counterpart."""
    return Deviation(
        error=metrics.mean_absolute_error(expected, logits),
        sqnr_db=metrics.sqnr_db(expected, logits),
        agreement=compared(expected, logits).predictions,
        samples=len(logits),
    )


def check_deviation(
    found: Deviation,
    path: str | Path,
    counterpart: str | Path,
    images: np.ndarray,
    run: str,
    bounds: BoundsSettings,
    recipe: Recipe | None,
) -> None:
    """Refuse a quantized network that computes something else than its float counterpart.

    Args:
        found: what `compare_with_float` returns.
        images: as the files take them, [N, C, H, W], to look for the layer with.

    Raises:
        WinnowError: the noise or the share of other predictions is beyond its bound; names the first layer from which
            on the noise is.
    """
    sqnr, agreement = found.sqnr_db, found.agreement
    misses = []
    if sqnr is not None and not sqnr >= bounds.min_sqnr_db:
        misses.append(f"SQNR of the logits {sqnr:.1f} dB, quantization.min_sqnr_db is {bounds.min_sqnr_db:g}")
    if agreement is not None and not agreement >= bounds.min_agreement:
        misses.append(
            f"{100 * agreement:.1f} % of decided predictions equal, "
            f"quantization.min_agreement is {bounds.min_agreement:g}"
        )
    if misses:
        others = [name for name in _FORGIVING if name != recipe.observer] if recipe and recipe.method == PTQ else []
        advice = f"try {' or '.join(others)} as observer, " if others else ""
        truth = counterpart if path != counterpart else "what it is in fp32"
        raise WinnowError(
            f"{run}: {path} deviates grossly from {truth} on {found.samples} validation images "
            f"({'; '.join(misses)}); {_first_layer(path, counterpart, images, bounds.min_sqnr_db)}; "
            f"{advice}leave this precision out for the network, or lower the bound if such a loss is wanted"
        )


def _first_layer(path: str | Path, counterpart: str | Path, images: np.ndarray, bound: float) -> str:
    noise = {entry.layer: entry.sqnr_db for entry in layer_sqnr(counterpart, path, images)}
    layers = {layer: sqnr for layer, sqnr in noise.items() if sqnr is not None}
    if not layers:
        return "no layer of the two files could be compared"
    first = next((layer for layer, sqnr in layers.items() if sqnr < bound), None)
    if first is not None:
        return f"it begins in layer {first} ({layers[first]:.1f} dB)"
    worst = min(layers, key=layers.__getitem__)
    return f"no layer is that noisy, the noisiest is {worst} ({layers[worst]:.1f} dB)"
