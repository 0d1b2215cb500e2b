"""All figures of a study: from its tidy tables to files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from winnow import figures_layers, figures_pruning, figures_quantization, style
from winnow.figure_list import figures_of
from winnow.parallel_figures import parallel_static
from winnow.pareto import pareto
from winnow.recommend_settings import RecommendSettings
from winnow.recommendation import recommend
from winnow.study import read_csv
from winnow.style import Missing


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
    "quantization_bars": lambda drawing: figures_quantization.quantization_bars(drawing.tables.results),
    "layer_sqnr": lambda drawing: figures_layers.layer_sqnr(drawing.tables.layers),
    "confusion_difference": lambda drawing: figures_layers.confusion_difference(drawing.tables.confusion),
    "accuracy_sparsity": lambda drawing: figures_pruning.accuracy_sparsity(drawing.tables.results),
    "one_shot_iterative": lambda drawing: figures_pruning.one_shot_iterative(drawing.tables.results),
    "rewinding": lambda drawing: figures_pruning.rewinding(drawing.tables.results),
    "speedup": lambda drawing: figures_pruning.speedup(drawing.tables.results),
    "layer_sparsity": lambda drawing: figures_layers.layer_sparsity(drawing.tables.layers, drawing.tables.results),
    "training_curves": lambda drawing: figures_layers.training_curves(drawing.tables.history),
}


def draw_figures(
    tables: Tables,
    networks: Collection[list[str]],
    pruned: Collection[list[str]],
    settings: RecommendSettings,
    folder: Path,
) -> dict[str, str]:
    """Write every figure of every network, `folder/<dataset>/<model>/<name>` as .svg and .png.

    What cannot be drawn becomes a figure that says in words what is missing.

    Args:
        networks, pruned: [dataset, model] pairs: all, and those that the study prunes.

    Returns:
        What is missing, by `<dataset>/<model>/<name>`.
    """
    missing = {}
    with style.styled():
        for dataset, model in networks:
            drawing = _drawing(tables.of(dataset, model), settings)
            for entry in figures_of(dataset, model, pruned):
                name = f"{dataset}/{model}/{entry.name}"
                try:
                    figure = _DRAW[entry.name](drawing)
                except Missing as reason:
                    missing[name] = str(reason)
                    figure = style.words(str(reason), entry.title)
                style.save(figure, folder / name)
    return missing


def _drawing(tables: Tables, settings: RecommendSettings) -> Drawing:
    chosen = [entry.chosen for entry in recommend(tables.results, settings) if entry.chosen is not None]
    return Drawing(tables, settings, (chosen[0]["run"], chosen[0]["precision"]) if chosen else None)
