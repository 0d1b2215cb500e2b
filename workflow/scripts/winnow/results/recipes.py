"""The recipes among rows of a table, in the order in which they are shown: method by method."""

from __future__ import annotations

import pandas as pd

from winnow.study.vocabulary import PRECISIONS, Precision


def recipes_of(table: pd.DataFrame) -> dict[str, Precision]:
    """Return the precision of each recipe; the plain recipe of a method comes before its others.

    Args:
        table: with the columns recipe and precision.

    Raises:
        WinnowError: a precision is none.
    """
    pairs = set(table[["recipe", "precision"]].itertuples(index=False, name=None))
    known = {recipe: PRECISIONS[precision] for recipe, precision in pairs}
    places = {name: place for place, name in enumerate(PRECISIONS)}
    return dict(sorted(known.items(), key=lambda item: (places[item[1].name], item[0])))


def by_method(recipes: dict[str, Precision]) -> dict[str, list[str]]:
    """Return the recipes of each method, fp32 among them, by its name."""
    groups: dict[str, list[str]] = {}
    for recipe, precision in recipes.items():
        groups.setdefault(precision.name, []).append(recipe)
    return groups
