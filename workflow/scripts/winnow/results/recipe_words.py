"""A recipe of quantization in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from winnow.results.numbers import counted, plain
from winnow.study.multipliers import family_of
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import (
    AUTO,
    CIRCUIT_ERRORS,
    CORRECTIONS,
    FULL_BITS,
    GRANULARITIES,
    OBSERVERS,
    OVERFLOWS,
    ROUNDINGS,
)
from winnow.study.vocabulary import FP32, PRECISIONS

FEWER_BITS = (
    f"Weights and activations of fewer than {FULL_BITS} bits are fewer levels of int8: their accuracy is real, their "
    "latency that of int8, and *packed* what the file would take if weights were stored in so many bits."
)
_SAID: Mapping[str, Callable[[str], str]] = {
    "observer": lambda value: f"ranges of activations by {OBSERVERS[value].meaning} ({value})",
    "calibration_samples": lambda value: f"calibrated on {value} images",
    "weight_bits": lambda value: f"weights of {value} bits",
    "activation_bits": lambda value: f"activations of {value} bits",
    "weights": lambda value: f"{GRANULARITIES[value].meaning} ({value})",
    "correction": lambda value: f"{CORRECTIONS[value].meaning or 'nothing corrected'} ({value})",
    "rounding": lambda value: f"weights rounded {ROUNDINGS[value].meaning}",
    "keep_float": lambda value: (
        "as few layers left in float as the limit allows"
        if value == AUTO
        else f"{counted(int(value), 'layer')} left in float"
    ),
    "distill": lambda value: f"{100 * float(value):g} % of the loss from the answers of the dense network",
    "overflow": lambda value: OVERFLOWS[value].meaning,
    "multiplier": lambda value: (
        "each layer multiplied by the cheapest circuit that the limit allows"
        if value == AUTO
        else f"multiplied by {family_of(value).meaning} ({value})"
    ),
    "circuit_error": lambda value: CIRCUIT_ERRORS[value].meaning,
}


def axis_words(axis: str, value: Any) -> str:
    """Say what a value of an axis means.

    Raises:
        WinnowError: the axis has no such value.
    """
    return _SAID[axis](plain(value))


def recipe_words(row: pd.Series) -> str:
    """Say in which numbers a network, a row of results.csv, computes, and where its recipe is not the usual one."""
    meaning = PRECISIONS[row["precision"]].meaning
    if row["precision"] == FP32:
        return meaning
    usual = Recipe(row["precision"])
    chosen = {axis: row.get(axis) for axis in PRECISIONS[usual.method].axes if pd.notna(row.get(axis))}
    said = [axis_words(axis, value) for axis, value in chosen.items() if plain(value) != plain(getattr(usual, axis))]
    return "; ".join([meaning, *said])


def fewer_bits(table: pd.DataFrame) -> bool:
    """Whether some network, a row of results.csv, has fewer levels than int8."""
    bits = table.reindex(columns=["weight_bits", "activation_bits"])
    return bool((bits < FULL_BITS).any(axis=None))
