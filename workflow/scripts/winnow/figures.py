"""All figures of a study: from its tidy tables to files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from winnow import figures_quantization, style
from winnow.figure_list import figures_of
from winnow.study import read_csv
from winnow.style import Missing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tables:
    """The tidy tables of a study, or those rows of them that belong to one network."""

    results: pd.DataFrame
    layers: pd.DataFrame
    confusion: pd.DataFrame
    history: pd.DataFrame

    def of(self, dataset: str, model: str) -> Tables:
        tables = (self.results, self.layers, self.confusion, self.history)
        return Tables(*(table[(table["dataset"] == dataset) & (table["model"] == model)] for table in tables))


def read_tables(results: str | Path, layers: str | Path, confusion: str | Path, history: str | Path) -> Tables:
    """Read what `collect` wrote.

    Raises:
        WinnowError: a file is no such table.
    """
    return Tables(*(read_csv(path) for path in (results, layers, confusion, history)))


_DRAW: Mapping[str, Callable[[Tables], Figure]] = {
    "quantization_bars": lambda tables: figures_quantization.quantization_bars(tables.results),
}


def draw_figures(tables: Tables, networks: Collection[list[str]], pruned: Collection[list[str]], folder: Path) -> None:
    """Write every figure of every network, `folder/<dataset>/<model>/<name>` as .svg and .png.

    What cannot be drawn becomes a figure that says in words what is missing.

    Args:
        networks, pruned: [dataset, model] pairs: all, and those that the study prunes.
    """
    with style.styled():
        for dataset, model in networks:
            own = tables.of(dataset, model)
            for entry in figures_of(dataset, model, pruned):
                stem = folder / dataset / model / entry.name
                try:
                    figure = _DRAW[entry.name](own)
                except Missing as missing:
                    log.info("%s: %s", stem, missing)
                    figure = style.words(str(missing), entry.title)
                style.save(figure, stem)
