"""recommendation.json: which network of each data set and model is to be shipped, and how all were judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from winnow.study.record import Record


@dataclass(frozen=True)
class Limit:
    """One constraint: the largest allowed value of a column of the candidates."""

    key: str
    column: str
    largest: float
    unit: str

    def __str__(self) -> str:
        what = self.key.removeprefix("max_").rpartition("_")[0] if self.unit != "points" else "loss of accuracy"
        unit = "point" if self.unit == "points" and self.largest == 1 else self.unit
        return f"{what} at most {self.largest:g} {unit} (`{self.key}`)"


@dataclass(frozen=True)
class Judged:
    """How a network, or a combination of pruning and recipe, meets what was asked for.

    Attributes:
        run, recipe: which one.
        seed: of a network; None for the mean over seeds.
        name: what it is called among the others.
        drop: points of validation accuracy below the dense fp32 network; None if there is none.
        objective: what is to be as small as possible; None if it was not measured.
        within: whether it is within a limit, by the key of the limit.
        excess: the largest share by which it misses a limit; None if a value was not measured.
        agrees: whether it computes the same in the runtime that was asked for as in ONNX Runtime.
        admissible: whether it may be shipped.
    """

    run: str
    recipe: str
    seed: int | None
    name: str
    drop: float | None
    objective: float | None
    within: Mapping[str, bool]
    excess: float | None
    agrees: bool
    admissible: bool


@dataclass(frozen=True)
class Choice:
    """What to ship for one data set and model.

    Attributes:
        chosen: the network to ship; None if nothing is within all limits.
        nearest: where nothing is, the network that misses the limits by least.
        candidates: every combination of pruning and recipe.
        excluded: for each limit, in words, how many of the candidates it excludes.
        unmeasured: how many candidates lack a value that a limit needs.
        disagreeing: how many candidates do not compute the same in the runtime that was asked for as in ONNX Runtime,
            or do not run there, with any seed; they are not admissible, and count among no others.
    """

    dataset: str
    model: str
    chosen: Judged | None
    nearest: Judged | None
    candidates: tuple[Judged, ...]
    excluded: Mapping[str, int]
    unmeasured: int
    disagreeing: int


@dataclass(frozen=True)
class Recommendations(Record):
    """recommendation.json: what was asked for, and what is to be shipped of each data set and model.

    Attributes:
        measured_with: the timed configuration that latency and energy are those of.
    """

    schema: ClassVar[int] = 2

    objective: str
    measured_with: str
    limits: tuple[Limit, ...]
    choices: tuple[Choice, ...]

    @property
    def shipped(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Return (run, recipe) of what is to be shipped, by (data set, model)."""
        chosen = {(choice.dataset, choice.model): choice.chosen for choice in self.choices}
        return {key: (judged.run, judged.recipe) for key, judged in chosen.items() if judged}
