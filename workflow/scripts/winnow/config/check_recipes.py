"""What is wrong between the recipes of quantization, each of which is valid by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from winnow.config.keys.quantization import Quantization
from winnow.study.multipliers import EXACT, OwnMultiplier
from winnow.study.recipe_axes import AUTO
from winnow.study.recipes import unused
from winnow.study.vocabulary import PRECISIONS, PTQ, QAT


def recipe_conflicts(quantization: Quantization) -> Iterator[str]:
    """Yield axes that no method of an entry uses, values that are listed twice, and axes that contradict each other."""
    for number, entry in enumerate(quantization.recipes):
        chosen, key = entry.chosen(), f"quantization.recipes.{number}"
        for name, values in chosen.items():
            for value in _twice(values):
                yield f"{key}.{name} lists {value!r} more than once; list each value once"
        for axis in unused(chosen):
            users = ", ".join(name for name, word in PRECISIONS.items() if axis in word.axes)
            methods = " and ".join(dict.fromkeys(entry.method))
            yield f"{key}.{axis} means nothing to {methods}; remove it, or add to method one that has it: {users}"
        circuits = [named for named in entry.multiplier or () if named != EXACT]
        if AUTO in (entry.keep_float or ()) and circuits:
            yield (
                f"{key}: keep_float: {AUTO} judges networks that multiply exactly, not with {_name(circuits[0])}; give "
                "a number of layers, or exact multipliers"
            )


def multiplier_conflicts(quantization: Quantization) -> Iterator[str]:
    """Yield circuits of the user's own that share a name, and keys for a choice that no recipe makes."""
    listed = [value for entry in quantization.recipes for value in entry.multiplier or ()]
    listed += quantization.multipliers
    named: dict[str, OwnMultiplier] = {}
    for own in dict.fromkeys(value for value in listed if isinstance(value, OwnMultiplier)):
        first = named.setdefault(own.name, own)
        if first != own:
            yield (
                f"quantization: the circuits of {first.table} and {own.table} are both {own.name} in the names of "
                "files; rename one, or say the same of both"
            )
    for value in _twice(quantization.multipliers):
        yield f"quantization.multipliers lists {value!r} more than once; list each value once"
    if "multipliers" in quantization.model_fields_set and AUTO not in listed:
        yield f"quantization.multipliers has no effect without a recipe with multiplier: {AUTO}; remove it, or add one"
    trained = (AUTO in (entry.multiplier or ()) and QAT in entry.method for entry in quantization.recipes)
    if "drop_before_training" in quantization.model_fields_set and not any(trained):
        yield (
            f"quantization.drop_before_training has no effect without a recipe of {QAT} with multiplier: {AUTO}; "
            "remove it, or add one"
        )


def wanted_images(quantization: Quantization) -> dict[str, int]:
    """Return the most training images that a recipe calibrates on, by the key that asks for them."""
    grid, default = quantization.grid().values(), quantization.ptq.calibration_samples
    used = [recipe.axes["calibration_samples"] for recipe in grid if recipe.method == PTQ]
    used += [default for recipe in grid if recipe.assigned]
    wanted = {"quantization.ptq.calibration_samples": default} if default in used else {}
    for number, entry in enumerate(quantization.recipes):
        if PTQ in entry.method and entry.calibration_samples:
            wanted[f"quantization.recipes.{number}.calibration_samples"] = max(entry.calibration_samples)
    return wanted


def _name(circuit: OwnMultiplier | str) -> str:
    return circuit if isinstance(circuit, str) else circuit.name


def _twice(values: tuple[Any, ...]) -> Iterator[Any]:
    yield from (value for value, count in Counter(values).items() if count > 1)
