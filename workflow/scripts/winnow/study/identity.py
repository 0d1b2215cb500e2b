"""Which network of a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """Which network of a study: the keys of results.csv.

    Attributes:
        recipe: by which it was quantized, by slug; FP32 if it was not.
        precision: in which numbers it computes: the method of its recipe.
    """

    dataset: str
    model: str
    seed: int
    run: str
    recipe: str
    precision: str
