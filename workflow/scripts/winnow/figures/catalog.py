"""The figures of a report: name, title, section and the networks each is drawn for.

Imported by the Snakefile, so it must not import a plotting library. Captions are `workflow/report/<name>.rst`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.study.grid import allotted
from winnow.study.recipes import left_to_winnow, simulated

CAPTIONS = Path(__file__).resolve().parents[3] / "report"


PRUNED, PROBED, SIMULATED, ASSIGNED, ALLOTTED = "pruned", "probed", "simulated", "assigned", "allotted"


@dataclass(frozen=True)
class FigureEntry:
    """One figure.

    Attributes:
        needs: what a network must have in its study (see `features`); nothing if every network has the figure.
    """

    name: str
    title: str
    section: str
    needs: str = ""

    @property
    def caption(self) -> str:
        """Return the text that explains the figure: paragraphs, without markup."""
        return (CAPTIONS / f"{self.name}.rst").read_text(encoding="utf-8")


TRADE, QUANTIZATION, PRUNING, TRAINING = "Trade-offs", "Quantization", "Pruning", "Training"
FIGURES = (
    FigureEntry("pareto_size", "Accuracy against size", TRADE),
    FigureEntry("pareto_latency", "Accuracy against latency", TRADE),
    FigureEntry("pareto_energy", "Accuracy against energy", TRADE),
    FigureEntry("parallel_coordinates", "All axes and metrics at once", TRADE),
    FigureEntry("quantization_bars", "What each quantization costs and buys", QUANTIZATION),
    FigureEntry("layer_sqnr", "Quantization noise layer by layer", QUANTIZATION),
    FigureEntry("layer_sensitivity", "Which layers quantization hurts", QUANTIZATION, PROBED),
    FigureEntry("multiplier_power", "Accuracy against the power of multipliers", QUANTIZATION, SIMULATED),
    FigureEntry("layer_multipliers", "Which layer got which multiplier", QUANTIZATION, ASSIGNED),
    FigureEntry("confusion_difference", "Where int8 answers differently", QUANTIZATION),
    FigureEntry("accuracy_sparsity", "Accuracy against sparsity", PRUNING, PRUNED),
    FigureEntry("one_shot_iterative", "One-shot against iterative pruning", PRUNING, PRUNED),
    FigureEntry("rewinding", "Where the weights are rewound to", PRUNING, PRUNED),
    FigureEntry("speedup", "Theoretical against measured speedup", PRUNING, PRUNED),
    FigureEntry("layer_sparsity", "Sparsity layer by layer", PRUNING, PRUNED),
    FigureEntry("pruning_sensitivity", "Which layers pruning hurts", PRUNING, ALLOTTED),
    FigureEntry("training_curves", "Training curves", TRAINING),
)


def features(study: Mapping[str, Any], dataset: str, model: str) -> set[str]:
    """Return what a study has of a network that only some figures show.

    pruned: it is pruned; allotted: and each layer by what it bears; probed: what each layer loses is measured;
    simulated: some recipe has an approximate multiplier; assigned: some leaves the multiplier of each layer to Winnow.
    """
    pruned = [dataset, model] in study["pruned"]
    found = {
        PRUNED: pruned,
        ALLOTTED: pruned and allotted(study["strategies"]),
        PROBED: study["probed"],
        SIMULATED: simulated(study["recipes"]),
        ASSIGNED: left_to_winnow(study["recipes"]),
    }
    return {feature for feature, has in found.items() if has}


def figures_of(study: Mapping[str, Any], dataset: str, model: str) -> list[FigureEntry]:
    """Return the figures of one network of a resolved study."""
    has = features(study, dataset, model)
    return [figure for figure in FIGURES if not figure.needs or figure.needs in has]


def figure_names(study: Mapping[str, Any], pairs: Iterable[Sequence[str]]) -> list[tuple[str, str, list[str]]]:
    """Return data set, model and the names of its figures for every (data set, model), as `draw_figures` takes them."""
    return [(dataset, model, [entry.name for entry in figures_of(study, dataset, model)]) for dataset, model in pairs]
