"""The study that a configuration describes: what the rules are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winnow.study.recipe_axes import AUTO
from winnow.study.recipes import probed_as
from winnow.study.vocabulary import PRECISIONS, PTQ, QAT

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
        recipes, apply_to: ways of quantizing, by slug, as `Recipe` takes them, and which networks are quantized.
        plain_recipes: by method, the recipe in which nothing was chosen, whether the study asks for it or not.
        probed: likewise, those of which it is measured what each layer loses; they leave none in float.
        export: what files are like.
        candidates: circuits that layers choose from where a recipe leaves its multiplier to Winnow.
        drop_before_training: points of accuracy that a network may lose to circuits which it is then trained through.
        bounds, benchmark, recommend: as their settings classes take them.
        temperatures: by model, of what is learned from the dense network, where a recipe says how much.
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
    plain_recipes: dict[str, Plain]
    recipes: dict[str, Plain]
    probed: dict[str, Plain]
    candidates: list[str | Plain]
    drop_before_training: float
    apply_to: str
    export: Plain
    bounds: Plain
    qat: dict[str, Plain]
    temperatures: dict[str, float]
    benchmark: Plain
    recommend: Plain
    strategies: dict[str, Plain]
    pruning: Plain | None
    pruned: list[list[str]]
    retraining: dict[str, dict[str, Plain]]

    def aware(self, model: str, recipe: Plain) -> Plain:
        """Return how a network is trained to be quantized by a recipe, as `QatSettings` takes it.

        Where the recipe chooses no weight of distillation, that of the network holds.
        """
        weight, settings = recipe["distill"], self.qat[model]
        if weight == self.plain_recipes[QAT]["distill"]:
            return settings
        learned = {"temperature": self.temperatures[model], "weight": weight} if weight else None
        return settings | {"distill": learned}

    def calibrated(self, recipe: Plain) -> Plain:
        """Return a recipe as it is without training: what it has that `ptq` does not choose is that of plain `ptq`."""
        if recipe["method"] == PTQ:
            return recipe
        axes = PRECISIONS[recipe["method"]].axes
        return self.plain_recipes[PTQ] | {axis: recipe[axis] for axis in axes if axis in PRECISIONS[PTQ].axes}

    def drop_allowed(self, recipe: Plain) -> float | None:
        """Return how many points of validation accuracy the calibrated network may lose when layers of a recipe are
        given circuits; None for any number."""
        if recipe["method"] == QAT:
            return self.drop_before_training
        points: float | None = self.recommend["max_accuracy_drop"]
        return points

    def own_tables(self, recipe: Plain) -> list[str]:
        """Return the files of the user's own circuits that a recipe multiplies with, or chooses from."""
        chosen = self.candidates if recipe["multiplier"] == AUTO else [recipe["multiplier"]]
        return [circuit["table"] for circuit in chosen if not isinstance(circuit, str)]

    def unspared(self, recipe: Plain) -> str:
        """Return which of `probed` is the same as a recipe, but for the layers that this one leaves in float and for
        its multiplier; see `Recipe.unspared`."""
        return probed_as(recipe, self.probed)

    def reported(self) -> Plain:
        """Return what the report says of the configuration; a change of the rest must not write it again."""
        return {
            "study": self.study,
            "seeds": self.seeds,
            "datasets": self.datasets,
            "models": self.models,
            "imports": self.imports,
            "trained": self.trained,
            "recipes": self.recipes,
            "probed": self.probed,
            "apply_to": self.apply_to,
            "strategies": self.strategies,
            "pruned": self.pruned,
            "training": self.training,
            "export": self.export,
            "benchmark": self.benchmark,
            "recommend": self.recommend,
        }
