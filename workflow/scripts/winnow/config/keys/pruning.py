"""The grid of pruning strategies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from winnow.config.choices import TUNING_SCHEDULES
from winnow.config.keys.kinds import OneOf, Real, Whole
from winnow.config.keys.section import OneOrMore, Section, key
from winnow.config.keys.text import IMPORT_PATH, Text
from winnow.config.keys.training import Distill
from winnow.study.pruning_axes import REWINDS, SCOPES, SHUFFLES
from winnow.study.vocabulary import AXES, CRITERIA, STRUCTURES

Criterion = Annotated[str, OneOf(CRITERIA, IMPORT_PATH)]
Scope = Annotated[str, OneOf(SCOPES)]
Structure = Annotated[str, OneOf(STRUCTURES)]
Ratio = Annotated[float, Real(at_least=0, below=1)]
Rounds = Annotated[int, Whole(at_least=1, at_most=1000)]
Rewind = Annotated[str | int, OneOf(REWINDS, Whole(at_least=1, at_most=100_000, unit="an epoch"))]
Shuffle = Annotated[str, OneOf(SHUFFLES)]
Names = tuple[Annotated[str, Text("names")], ...]


class Exclusion(Section):
    """Combinations to leave out: those with one of these values on each axis that is named."""

    criterion: Annotated[tuple[Criterion, ...] | None, OneOrMore] = key("as in `pruning`", None)
    scope: Annotated[tuple[Scope, ...] | None, OneOrMore] = key("as in `pruning`", None)
    structure: Annotated[tuple[Structure, ...] | None, OneOrMore] = key("as in `pruning`", None)
    ratio: Annotated[tuple[Ratio, ...] | None, OneOrMore] = key("as in `pruning`", None)
    rounds: Annotated[tuple[Rounds, ...] | None, OneOrMore] = key("as in `pruning`", None)
    rewind: Annotated[tuple[Rewind, ...] | None, OneOrMore] = key("as in `pruning`", None)
    shuffle: Annotated[tuple[Shuffle, ...] | None, OneOrMore] = key("as in `pruning`", None)


class Retrain(Section):
    """Fine-tuning, for `rewind: none`, and `distill` for all; what has no key here is as in the base training."""

    epochs: Annotated[int | None, Whole(at_least=0, at_most=100_000, unit="epochs")] = key(
        "passes over the training split in each round; 0 for none", None, null="those of the base training", example=10
    )
    lr: Annotated[float | None, Real(above=0)] = key(
        "learning rate",
        None,
        null="the last of the base training (`multi_step`), or a hundredth of its peak (`one_cycle`, `cosine`)",
        example=0.001,
    )
    schedule: Annotated[str, OneOf(TUNING_SCHEDULES)] = key("learning rate over time", "constant", example="cosine")
    distill: Distill = key(
        "what is learned from the dense network, in every round and whatever `rewind` is",
        Distill(),
        example={"weight": 0.5},
    )


class Pruning(Section):
    """Every combination of the axes, `criterion` to `shuffle`, is a strategy."""

    criterion: tuple[Criterion, ...] = key(
        "what is removed first",
        ("l1",),
        example=["l1", "random"],
        at_least_one=True,
    )
    scope: tuple[Scope, ...] = key(
        "what is ranked together", ("global",), example=["global", "local"], at_least_one=True
    )
    structure: tuple[Structure, ...] = key(
        "what is removed at once; with a channel goes whatever depends on it, for good",
        ("unstructured",),
        example=["channels"],
        at_least_one=True,
    )
    ratio: tuple[Ratio, ...] = key(
        "what is removed after the last round, as a share of the prunable weights, or channels; 0 is a control",
        example=[0, 0.8, 0.9],
        at_least_one=True,
    )
    rounds: tuple[Rounds, ...] = key(
        "1 is one-shot; after round k of n the share (1 - `ratio`)^(k/n) is left",
        (1,),
        example=[1, 5],
        at_least_one=True,
    )
    rewind: tuple[Rewind, ...] = key(
        "what is trained after each round; an epoch number: rewound to the weights after that epoch and trained from "
        "there on; `random` is a control",
        ("none",),
        example=["init", 12],
        at_least_one=True,
    )
    shuffle: tuple[Shuffle, ...] = key(
        "`layerwise` is a control: it keeps how much every layer loses",
        ("none",),
        example=["none", "layerwise"],
        at_least_one=True,
    )
    exclude: tuple[Exclusion, ...] = key(
        "combinations to leave out, by the values, or lists of values, of some axes",
        (),
        example=[{"criterion": "random", "rounds": 5}],
    )
    datasets: Names | None = key(
        "data sets whose networks are pruned", None, null="all", example=["cifar10"], at_least_one=True
    )
    models: Names | None = key("networks that are pruned", None, null="all", example=["resnet18"], at_least_one=True)
    skip_layers: Names = key(
        "layers that are never pruned: `first`, `classifier` (the last), or names as in sparsity.json, of layers or of "
        "modules around them. Batch norms and biases never are, and channels of the classifier cannot be",
        (),
        example=["first", "classifier"],
    )
    min_density: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "what stays of each layer whatever its scores, as a share of its weights, or channels; one always does",
        0.001,
        example=0.01,
    )
    calibration_samples: Annotated[int, Whole(at_least=2, at_most=1_000_000, unit="images")] = key(
        "training images, without augmentation, that `taylor` and `snip` take gradients on", 512, example=1024
    )
    retrain: Retrain = key("fine-tuning, for `rewind: none`", Retrain())

    def chosen(self, key: Literal["datasets", "models"], known: Iterable[str]) -> list[str]:
        """Return those of the known data sets, or models, that are pruned, in their order."""
        names = getattr(self, key)
        return [name for name in known if names is None or name in names]

    def grid(self) -> dict[str, list[Any]]:
        """Return the axes and `exclude` as plain values, as `winnow.study.grid` takes them."""
        axes: dict[str, list[Any]] = {axis: list(getattr(self, axis)) for axis in AXES}
        return axes | {"exclude": [entry.model_dump(mode="json", exclude_none=True) for entry in self.exclude]}
