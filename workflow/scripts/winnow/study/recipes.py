"""The grid of quantization recipes: the product of the axes of each entry, without repetitions.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any

from winnow.study.multipliers import EXACT
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import AUTO, RECIPE_AXES
from winnow.study.vocabulary import FP32, PRECISIONS

Entry = Mapping[str, Sequence[Any]]
"""Values by `method` and by some of RECIPE_AXES."""
_WRITTEN: Mapping[str, Callable[[Any], str]] = {
    "calibration_samples": "n{}".format,
    "weight_bits": "w{}".format,
    "activation_bits": "a{}".format,
    "weights": lambda value: str(value).removeprefix("per_"),
    "keep_float": "keep{}".format,
    "distill": "distill{:.12g}".format,
    "multiplier": lambda value: f"mult{value}" if value == AUTO else str(value),
}
"""How a value stands in a slug where it alone does not say which axis it is of."""
_TOGETHER = ("weight_bits", "activation_bits")


def expand(entries: Iterable[Entry], default: Recipe) -> dict[str, Recipe]:
    """Expand entries to recipes.

    Combinations that lead to the same file, as those that differ in an axis which their method does not use, are kept
    once.

    Args:
        default: what an axis has that an entry does not name, if its method uses it.

    Returns:
        By slug, e.g. `ptq-minmax-w4`, in the order of the entries.
    """
    return {slug(recipe, default): recipe for entry in entries for recipe in _combinations(entry, default)}


def plain(method: str, default: Recipe) -> Recipe:
    """Return the recipe of a method in which no axis was chosen; its slug is the name of the method."""
    return _own(replace(default, method=method))


def combinations(entry: Entry) -> int:
    """Return how many combinations an entry has, be they the same or not."""
    return math.prod(map(len, entry.values()))


def unused(entry: Entry) -> Iterator[str]:
    """Yield the axes of an entry that none of its methods uses: mistakes."""
    used = {axis for method in entry["method"] for axis in PRECISIONS[method].axes}
    yield from (axis for axis in RECIPE_AXES if axis in entry and axis not in used)


def slug(recipe: Recipe, default: Recipe) -> str:
    """Name a recipe in paths and tables by its method and by where it differs from the default."""
    usual, text = plain(recipe.method, default), recipe.method
    last = ""
    for axis, value in recipe.axes.items():
        if value != getattr(usual, axis):
            apart = "" if {last, axis} == set(_TOGETHER) else "-"
            text += f"{apart}{_WRITTEN.get(axis, str)(value)}"
            last = axis
    return text


def precisions(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the precision of every file of a run by the slug of its recipe; fp32 has one too.

    Args:
        recipes: of a resolved study, by slug.
    """
    return {FP32: FP32} | {name: recipe["method"] for name, recipe in recipes.items()}


def simulated(recipes: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return the recipes whose multiplier no processor has: their files compute what it does, in no time of its own.

    Args:
        recipes: of a resolved study, by slug.
    """
    return frozenset(slug for slug, recipe in recipes.items() if recipe["multiplier"] != EXACT)


def left_to_winnow(recipes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the recipes that give each layer a multiplier of its own.

    Args:
        recipes: of a resolved study, by slug.
    """
    return [slug for slug, recipe in recipes.items() if recipe["multiplier"] == AUTO]


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values with sorted keys, as parameters of rules are."""
    return dict(sorted(asdict(replace(recipe, distill=float(recipe.distill))).items()))


def _combinations(entry: Entry, default: Recipe) -> Iterator[Recipe]:
    for values in product(*entry.values()):
        yield _own(replace(default, **dict(zip(entry, values, strict=True))))


def _own(recipe: Recipe) -> Recipe:
    """Return a recipe in which axes that its method does not use are as if nothing had been said."""
    return Recipe(recipe.method, **{axis: getattr(recipe, axis) for axis in recipe.axes})


def probed_as(recipe: Mapping[str, Any], probed: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which probed recipe, by slug, is the same as one but for the layers that this leaves in float and for its
    multiplier; see `Recipe.unspared`."""
    base = asdict(Recipe(**recipe).unspared)
    return next(slug for slug, found in probed.items() if found == base)


def unspared(recipes: Mapping[str, Mapping[str, Any]], probed: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return `probed_as` of each recipe, by slug, that leaves the number of layers in float to Winnow."""
    return {slug: probed_as(recipe, probed) for slug, recipe in recipes.items() if recipe["keep_float"] == AUTO}
