"""The axes that a recipe of quantization is a combination of, and the words that are their values."""

from __future__ import annotations

from winnow.study.words import NONE, Choice, Words

AUTO = "auto"
"""The value of an axis that is left to Winnow."""
EQUALIZATION = "equalization"
FULL_BITS = 8
"""Of int8: what fewer bits are a part of."""
RECIPE_AXES = (
    *("observer", "calibration_samples", "weight_bits", "activation_bits", "weights"),
    *("correction", "rounding", "keep_float", "overflow", "distill", "multiplier", "circuit_error"),
)
"""What a recipe of quantization is a combination of, beside its method."""
OBSERVERS = Words(
    "observer",
    Choice("histogram", "least expected error"),
    Choice("minmax", "all that was seen"),
    Choice("mean", "mean of the extremes of each image"),
    Choice("percentile", "all but the rarest values"),
    Choice("entropy", "least change of the distribution"),
)
GRANULARITIES = Words(
    "granularity of weights",
    Choice("per_channel", "one scale for each output channel"),
    Choice("per_tensor", "one scale for a layer"),
)
CORRECTIONS = Words(
    "correction",
    Choice(NONE, ""),
    Choice("bias", "the mean error of each channel is taken from its bias"),
    Choice(EQUALIZATION, "ranges of neighbouring layers are made alike first"),
)
ROUNDINGS = Words(
    "rounding",
    Choice("nearest", "to the nearest level"),
    Choice("adaround", "up or down, whichever keeps the layer's output (AdaRound)"),
)
OVERFLOWS = Words(
    "overflow",
    Choice("fast", "8-bit weights, right on processors with VNNI"),
    Choice("safe", "7-bit weights where two products could exceed 16 bits, right on every processor"),
)
CANDIDATES = ("bam-1-0-4", "bam-1-1-0", "bam-2-2-0", "bam-3-3-0")
"""Circuits of published power that layers choose from where the multiplier is left to Winnow and no others are
named: of those that save as much each is the most accurate."""
CORRECTED = "corrected"
CIRCUIT_ERRORS = Words(
    "treatment of a circuit's error",
    Choice(CORRECTED, "the mean error of the multiplier is taken from each channel's bias"),
    Choice("left", "the mean error of the multiplier is left in"),
)
