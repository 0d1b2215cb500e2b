"""All figures of a study: from its tidy tables to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from winnow.config.recommend import RecommendSettings
from winnow.figures import style
from winnow.figures.accuracy_sparsity import accuracy_sparsity, one_shot_iterative, rewinding
from winnow.figures.catalog import FIGURES
from winnow.figures.confusion_difference import confusion_difference
from winnow.figures.layer_multipliers import layer_multipliers
from winnow.figures.layer_sensitivity import layer_sensitivity
from winnow.figures.layer_sparsity import layer_sparsity
from winnow.figures.layer_sqnr import layer_sqnr
from winnow.figures.multiplier_power import multiplier_power
from winnow.figures.parallel import parallel_static
from winnow.figures.pareto import pareto
from winnow.figures.pruning_sensitivity import pruning_sensitivity
from winnow.figures.quantization_bars import quantization_bars
from winnow.figures.speedup import speedup
from winnow.figures.training_curves import training_curves
from winnow.results.csv_files import read_csv
from winnow.results.not_measured import Missing


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=["dataset", "model"])


@dataclass(frozen=True)
class Tables:
    """The tidy tables of a study, or those rows of them that belong to one network.

    Attributes:
        sensitivity: what each layer loses; nothing where that was not asked for.
        assigned: which layer has which multiplier; nothing where none was left to Winnow.
        curves: what each layer bears when it is pruned alone; nothing where no strategy asks.
    """

    results: pd.DataFrame
    layers: pd.DataFrame
    confusion: pd.DataFrame
    history: pd.DataFrame
    sensitivity: pd.DataFrame = field(default_factory=_nothing)
    assigned: pd.DataFrame = field(default_factory=_nothing)
    curves: pd.DataFrame = field(default_factory=_nothing)

    def of(self, dataset: str, model: str) -> Tables:
        tables = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return Tables(
            **{name: table[(table["dataset"] == dataset) & (table["model"] == model)] for name, table in tables.items()}
        )


def read_tables(results: str | Path, layers: str | Path, confusion: str | Path, history: str | Path) -> Tables:
    """Read what `collect` wrote.

    Raises:
        WinnowError: a file is no such table.
    """
    return Tables(*(read_csv(path) for path in (results, layers, confusion, history)))


@dataclass(frozen=True)
class Drawing:
    """What a figure of one network is drawn from: its tables, and what was asked of a network to ship."""

    tables: Tables
    settings: RecommendSettings
    shipped: tuple[str, str] | None

    def pareto(self, kind: str) -> Figure:
        return pareto(self.tables.results, kind, self.settings, self.shipped)


_DRAW: Mapping[str, Callable[[Drawing], Figure]] = {
    "pareto_size": lambda drawing: drawing.pareto("size"),
    "pareto_latency": lambda drawing: drawing.pareto("latency"),
    "pareto_energy": lambda drawing: drawing.pareto("energy"),
    "parallel_coordinates": lambda drawing: parallel_static(drawing.tables.results, drawing.settings),
    "quantization_bars": lambda drawing: quantization_bars(drawing.tables.results),
    "layer_sqnr": lambda drawing: layer_sqnr(drawing.tables.layers),
    "layer_sensitivity": lambda drawing: layer_sensitivity(drawing.tables.sensitivity),
    "multiplier_power": lambda drawing: multiplier_power(drawing.tables.results),
    "layer_multipliers": lambda drawing: layer_multipliers(drawing.tables.assigned),
    "confusion_difference": lambda drawing: confusion_difference(drawing.tables.confusion),
    "accuracy_sparsity": lambda drawing: accuracy_sparsity(drawing.tables.results),
    "one_shot_iterative": lambda drawing: one_shot_iterative(drawing.tables.results),
    "rewinding": lambda drawing: rewinding(drawing.tables.results),
    "speedup": lambda drawing: speedup(drawing.tables.results),
    "layer_sparsity": lambda drawing: layer_sparsity(drawing.tables.layers, drawing.tables.results),
    "pruning_sensitivity": lambda drawing: pruning_sensitivity(drawing.tables.curves),
    "training_curves": lambda drawing: training_curves(drawing.tables.history),
}


_TITLES = {entry.name: entry.title for entry in FIGURES}


def draw_figures(
    tables: Tables,
    wanted: Iterable[tuple[str, str, Sequence[str]]],
    settings: RecommendSettings,
    shipped: Mapping[tuple[str, str], tuple[str, str]],
    folder: Path,
) -> dict[str, str]:
    """Write figures of networks, `folder/<dataset>/<model>/<name>` as .svg and .png.

    What cannot be drawn becomes a figure that says in words what is missing.

    Args:
        wanted: data set, model, and the names of its figures (`figures_of`).
        shipped: (run, recipe) of what is recommended, by (dataset, model).

    Returns:
        What is missing, by `<dataset>/<model>/<name>`.
    """
    missing = {}
    with style.styled():
        for dataset, model, names in wanted:
            drawing = Drawing(tables.of(dataset, model), settings, shipped.get((dataset, model)))
            for name in names:
                place = f"{dataset}/{model}/{name}"
                try:
                    figure = _DRAW[name](drawing)
                except Missing as reason:
                    missing[place] = str(reason)
                    figure = style.words(str(reason), _TITLES[name])
                style.save(figure, folder / place)
    return missing
