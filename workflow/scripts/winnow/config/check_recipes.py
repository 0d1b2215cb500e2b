"""What is wrong between the recipes of quantization, each of which is valid by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from winnow.config.keys.quantization import Quantization
from winnow.study.recipes import unused
from winnow.study.vocabulary import PRECISIONS, PTQ


def recipe_conflicts(quantization: Quantization) -> Iterator[str]:
    """Yield axes that no method of an entry uses, and values that are listed twice."""
    for number, entry in enumerate(quantization.recipes):
        chosen, key = entry.chosen(), f"quantization.recipes.{number}"
        for name, values in chosen.items():
            for value in _twice(values):
                yield f"{key}.{name} lists {value!r} more than once; list each value once"
        for axis in unused(chosen):
            users = ", ".join(name for name, word in PRECISIONS.items() if axis in word.axes)
            methods = " and ".join(dict.fromkeys(entry.method))
            yield f"{key}.{axis} means nothing to {methods}; remove it, or add to method one that has it: {users}"


def wanted_images(quantization: Quantization) -> dict[str, int]:
    """Return the most training images that a recipe calibrates on, by the key that asks for them."""
    used = [recipe.axes["calibration_samples"] for recipe in quantization.grid().values() if recipe.method == PTQ]
    default = quantization.ptq.calibration_samples
    wanted = {"quantization.ptq.calibration_samples": default} if default in used else {}
    for number, entry in enumerate(quantization.recipes):
        if PTQ in entry.method and entry.calibration_samples:
            wanted[f"quantization.recipes.{number}.calibration_samples"] = max(entry.calibration_samples)
    return wanted


def _twice(values: tuple[Any, ...]) -> Iterator[Any]:
    yield from (value for value, count in Counter(values).items() if count > 1)
