"""The figures of a report: name, title, section and the networks each is drawn for.

Imported by the Snakefile, so it must not import a plotting library. Captions are `workflow/report/<name>.rst`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

CAPTIONS = Path(__file__).resolve().parents[3] / "report"


@dataclass(frozen=True)
class FigureEntry:
    """One figure.

    Attributes:
        pruned: only networks that are pruned in the study have it.
        probed: only studies have it in which it is measured what each layer loses.
        simulated: only studies have it with approximate multipliers.
        assigned: only studies have it in which each layer is given a multiplier.
    """

    name: str
    title: str
    section: str
    pruned: bool = False
    probed: bool = False
    simulated: bool = False
    assigned: bool = False

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
    FigureEntry("layer_sensitivity", "Which layers quantization hurts", QUANTIZATION, probed=True),
    FigureEntry("multiplier_power", "Accuracy against the power of multipliers", QUANTIZATION, simulated=True),
    FigureEntry("layer_multipliers", "Which layer got which multiplier", QUANTIZATION, assigned=True),
    FigureEntry("confusion_difference", "Where int8 answers differently", QUANTIZATION),
    FigureEntry("accuracy_sparsity", "Accuracy against sparsity", PRUNING, pruned=True),
    FigureEntry("one_shot_iterative", "One-shot against iterative pruning", PRUNING, pruned=True),
    FigureEntry("rewinding", "Where the weights are rewound to", PRUNING, pruned=True),
    FigureEntry("speedup", "Theoretical against measured speedup", PRUNING, pruned=True),
    FigureEntry("layer_sparsity", "Sparsity layer by layer", PRUNING, pruned=True),
    FigureEntry("training_curves", "Training curves", TRAINING),
)


def figures_of(
    dataset: str, model: str, pruned: Collection[list[str]], *, probed: bool, simulated: bool, assigned: bool
) -> list[FigureEntry]:
    """Return the figures of one network.

    Args:
        pruned: the [dataset, model] pairs that the study prunes.
        probed: whether it is measured what each layer loses.
        simulated: whether some recipe has an approximate multiplier.
        assigned: whether some recipe leaves the multiplier of each layer to Winnow.
    """
    return [
        figure
        for figure in FIGURES
        if (not figure.pruned or [dataset, model] in pruned)
        and (probed or not figure.probed)
        and (simulated or not figure.simulated)
        and (assigned or not figure.assigned)
    ]
