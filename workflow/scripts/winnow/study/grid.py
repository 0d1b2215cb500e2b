"""The grid of pruning strategies: the product of the axes, without exclusions and repetitions.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from winnow.study import vocabulary
from winnow.study.pruning_axes import SENSITIVITY
from winnow.study.vocabulary import AXES, MAGNITUDE, STRUCTURES
from winnow.study.words import NONE

_WEIGHTS_REWOUND = ("init", "random")  # and every epoch: what is trained next does not depend on the last round


def expand(pruning: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Expand the `pruning` section of a configuration to its strategies.

    Combinations that lead to the same networks are kept once, as the first of them in the order of the lists.

    Returns:
        By slug, e.g. `l1-global-unstructured-0.9-x5-init`: the axes, with `rewind` as text, and
        `rewind_epoch`: the number of trained epochs the weights go back to, None if they do not go back.
    """
    strategies, seen = {}, set()
    for values in product(*(pruning[axis] for axis in AXES)):
        combination = dict(zip(AXES, values, strict=True))
        identity = _identity(combination)
        if identity in seen or any(matches(combination, exclusion) for exclusion in pruning["exclude"]):
            continue
        seen.add(identity)
        rewind = combination["rewind"]
        epoch = {"init": 0}.get(rewind) if isinstance(rewind, str) else rewind
        label = rewind if isinstance(rewind, str) else f"epoch{rewind}"
        strategy = combination | {"ratio": float(combination["ratio"]), "rewind": label, "rewind_epoch": epoch}
        strategies[_slug(strategy)] = strategy
    return strategies


def matches(combination: Mapping[str, Any], exclusion: Mapping[str, Any]) -> bool:
    """Whether a combination has all the values of an exclusion, each one value or a list of values."""
    return all(combination[axis] in (v if isinstance(v, list) else [v]) for axis, v in exclusion.items())


def unused_exclusions(pruning: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the exclusions that no combination matches: mistakes."""
    axes = {axis: pruning[axis] for axis in AXES}
    return [
        exclusion
        for exclusion in pruning["exclude"]
        if not all(
            any(value in axes[axis] for value in (v if isinstance(v, list) else [v])) for axis, v in exclusion.items()
        )
    ]


def uses_training(strategy: Mapping[str, Any]) -> bool:
    """Whether the strategy needs a trained network at all, or chooses at initialization and starts there."""
    criterion = vocabulary.criterion(strategy["criterion"])
    return not (criterion.control or criterion.initial) or strategy["rewind"] not in _WEIGHTS_REWOUND


def allotted(strategies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the slugs of the strategies that take from each layer what it bears, and so measure it."""
    return [slug for slug, strategy in strategies.items() if strategy["scope"] == SENSITIVITY and strategy["ratio"] > 0]


def runs(strategies: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, bool]]:
    """Yield (run, whether it is its strategy's last round) for every round, e.g. `{slug}/round3`."""
    for slug, strategy in strategies.items():
        for number in range(1, strategy["rounds"] + 1):
            yield f"{slug}/round{number}", number == strategy["rounds"]


def criterion_slug(name: str) -> str:
    """Return the name of a criterion in paths: the user's `mine:by_size` is `mine.by.size`."""
    return re.sub("[^a-z0-9]+", ".", name.lower()).strip(".")


def ratio_slug(ratio: float) -> str:
    """Return a ratio as it stands in paths, with 12 digits at most."""
    return f"{ratio:.12g}"


def _slug(strategy: Mapping[str, Any]) -> str:
    criterion, scope, structure, ratio, rounds, rewind, shuffle = (strategy[axis] for axis in AXES)
    shuffled = "" if shuffle == NONE else f"-shuffle-{shuffle}"
    return f"{criterion_slug(criterion)}-{scope}-{structure}-{ratio_slug(ratio)}-x{rounds}-{rewind}{shuffled}"


def _identity(combination: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what two combinations share if, and only if, they lead to the same networks."""
    criterion, scope, structure, ratio, rounds, rewind, shuffle = (combination[axis] for axis in AXES)
    if vocabulary.criterion(criterion).control:
        shuffle = NONE  # random among random
    if criterion in MAGNITUDE and not STRUCTURES[structure].narrow:
        criterion = MAGNITUDE[0]  # |w| and w^2 have one order
    if ratio == 0:
        criterion = scope = structure = shuffle = None  # nothing is chosen
        if rewind in _WEIGHTS_REWOUND or not isinstance(rewind, str):
            rounds = 1  # every round is the same training
    return criterion, scope, structure, float(ratio), rounds, rewind, shuffle
