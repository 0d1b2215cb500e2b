"""What tells the series of a figure apart, as seaborn takes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from winnow.figures.style import GREY
from winnow.results.recipes import by_method, recipes_of
from winnow.study.vocabulary import PRECISIONS

T = TypeVar("T")
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ((), (4, 1.5), (6, 1.5, 1, 1.5), (1, 1.5), (5, 1), (3, 1, 1, 1, 1, 1), (1, 3), (8, 3))
_CONTROL = (1, 1.5)


@dataclass(frozen=True)
class Looks:
    """Names in their order, and the colour, marker and dashes of each."""

    colors: dict[str, str]
    markers: dict[str, str]
    dashes: dict[str, tuple[float, ...]]

    def bars(self, column: str) -> dict[str, Any]:
        """Return arguments for seaborn's categorical plots of a table in which `column` holds the names."""
        return {"hue": column, "hue_order": list(self.colors), "palette": self.colors}

    def points(self, column: str) -> dict[str, Any]:
        """Return arguments for `scatterplot`."""
        return self.bars(column) | {"style": column, "style_order": list(self.colors), "markers": self.markers}

    def lines(self, column: str) -> dict[str, Any]:
        """Return arguments for `lineplot`."""
        return self.points(column) | {"dashes": self.dashes}


def precision_looks(names: Iterable[str]) -> Looks:
    """Return how the precisions among names look.

    Raises:
        WinnowError: one of them is none.
    """
    words = PRECISIONS.present(names)
    return Looks(
        {word.name: word.color for word in words},
        {word.name: word.marker for word in words},
        {word.name: word.dashes for word in words},
    )


def recipe_looks(table: pd.DataFrame) -> Looks:
    """Return how the recipes of a table look: as their precisions do; further ones of a method have other markers and
    dashes.

    Raises:
        WinnowError: a precision is none.
    """
    recipes = recipes_of(table)
    looks = Looks({}, {}, {})
    for precision, names in by_method(recipes).items():
        word = PRECISIONS[precision]
        markers, dashes = _beginning_with(word.marker, MARKERS), _beginning_with(word.dashes, DASHES)
        for place, name in enumerate(names):
            looks.colors[name] = word.color
            looks.markers[name] = markers[place % len(markers)]
            looks.dashes[name] = dashes[(place + place // len(markers)) % len(dashes)]
    return looks


def _beginning_with(first: T, values: Sequence[T]) -> list[T]:
    return [first, *(value for value in values if value != first)]


def series_looks(names: Sequence[str], controls: Iterable[str] = ()) -> Looks:
    """Return a look for each name by its place; what only serves as a control is grey and dotted."""
    controls = set(controls)
    places = list(enumerate(names))
    return Looks(
        {name: GREY if name in controls else COLORS[place % len(COLORS)] for place, name in places},
        {name: MARKERS[place % len(MARKERS)] for place, name in places},
        {
            name: _CONTROL if name in controls else DASHES[(place + place // len(COLORS)) % len(DASHES)]
            for place, name in places
        },
    )
