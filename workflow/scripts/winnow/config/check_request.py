"""What `check_network` is asked: all that a study wants of one network, each kind once.

Imported by the Snakefile, so it must not import torch. Whatever does not decide whether a network works is left out, so
that changing it checks nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from winnow.config.study import Study
from winnow.study.multipliers import EXACT
from winnow.study.vocabulary import METHODS, QAT

_ONE_STEP = {
    "epochs": 1,
    "warmup_epochs": 0,
    "schedule": "cosine",
    "milestones": [],
    "lr": 1e-6,
    "rewind_epochs": [],
    "precision": "fp32",
    "compile": False,
    "device": "cpu",
}
_CHEAP = {"rounding": "nearest", "keep_float": 0, "multiplier": EXACT}
_ONE_ROUND = {"rounds": 1, "rewind": "none", "rewind_epoch": None, "shuffle": "none", "scope": "global"}


def check_request(study: Study, dataset: str, model: str) -> dict[str, Any]:
    """Return what is to be checked of one network on one data set, as `CheckSettings` takes it.

    Returns:
        The network; one step of its training and of its quantization-aware training; of every method of quantization,
        one recipe; of every structure and criterion of pruning, one round at the largest ratio.
    """
    aware = study.qat[model]
    later = study.retraining.get(model, {}).values()
    trains = any(training["epochs"] for training in (study.training[model], *(entry["training"] for entry in later)))
    pruned = [dataset, model] in study.pruned
    recipes = _recipes(study.recipes)
    trained = any(recipe["method"] == QAT for recipe in recipes)
    return {
        "model": study.models[model],
        "seed": study.seeds[0],
        "training": study.training[model] | _ONE_STEP | {"epochs": int(trains)},
        "recipes": recipes,
        "min_integer_macs": study.bounds["min_integer_macs"],
        "baked_in": study.export["baked_in"],
        "qat": aware | {"training": aware["training"] | _ONE_STEP, **_QAT_STEP} if trained else None,
        "strategies": _strategies(study.strategies) if pruned else [],
        "pruning": study.pruning if pruned else None,
    }


_QAT_STEP = {"freeze_observers_epoch": 2, "freeze_batchnorm_epoch": 2, "distill": None}


def _recipes(recipes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the first recipe of every method, with the most images that one of them calibrates on."""
    found = []
    for method in METHODS:
        own = [recipe for recipe in recipes.values() if recipe["method"] == method]
        if own:
            most = max(recipe["calibration_samples"] for recipe in own)
            found.append({**own[0], **_CHEAP, "calibration_samples": most})
    return found


def _strategies(strategies: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the largest ratio of every structure and criterion."""
    largest: dict[tuple[str, str], float] = {}
    for strategy in strategies.values():
        kind = strategy["structure"], strategy["criterion"]
        largest[kind] = max(strategy["ratio"], largest.get(kind, 0.0))
    return [
        _ONE_ROUND | {"structure": structure, "criterion": criterion, "ratio": ratio}
        for (structure, criterion), ratio in sorted(largest.items())
    ]
