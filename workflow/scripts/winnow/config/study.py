"""The study that a configuration describes: what the rules are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Plain = dict[str, Any]
"""Values of YAML with sorted keys: Snakemake compares parameters by their text, and reruns what they changed for."""


@dataclass(frozen=True)
class Study:
    """A checked and expanded configuration, in plain values.

    Attributes:
        study: its name.
        datasets, models, training, qat: by name, each as the settings class of that stage takes it.
        imports: by model with weights, those it begins with, IMPORTED, and those its training began with, INITIAL.
        trained: by model with weights, what its training took.
        normalization: by data set and model, as `NormalizationSettings` takes it.
        definitions: by data set, the digest of what it is made from.
        methods, apply_to: quantized forms, and which networks get them.
        bounds, ptq, benchmark, recommend: as their settings classes take them.
        strategies: of pruning, by slug.
        pruning: what all strategies share; None without the section.
        pruned: the [dataset, model] pairs that are pruned.
        retraining: by model and rewind.
    """

    study: str
    seeds: list[int]
    datasets: dict[str, Plain]
    models: dict[str, Plain]
    imports: dict[str, dict[str, Plain]]
    trained: dict[str, Plain]
    normalization: dict[str, dict[str, Plain]]
    definitions: dict[str, str]
    training: dict[str, Plain]
    methods: list[str]
    apply_to: str
    bounds: Plain
    ptq: Plain
    qat: dict[str, Plain]
    benchmark: Plain
    recommend: Plain
    strategies: dict[str, Plain]
    pruning: Plain | None
    pruned: list[list[str]]
    retraining: dict[str, dict[str, Plain]]

    def reported(self) -> Plain:
        """Return what the report says of the configuration; a change of the rest must not write it again."""
        return {
            "study": self.study,
            "seeds": self.seeds,
            "datasets": self.datasets,
            "models": self.models,
            "imports": self.imports,
            "methods": self.methods,
            "apply_to": self.apply_to,
            "strategies": self.strategies,
            "pruned": self.pruned,
            "training": self.training,
            "benchmark": self.benchmark,
            "recommend": self.recommend,
        }
