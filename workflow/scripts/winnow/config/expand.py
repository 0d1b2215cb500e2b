"""From a checked configuration to the study: per-model keys, the grid of pruning, defaults that depend on others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from winnow.config.catalog import NETWORKS, TORCHVISION
from winnow.config.images import normalized_by, prepared_from
from winnow.config.keys.pruning import Pruning
from winnow.config.keys.quantization import Qat
from winnow.config.keys.study import Configuration, Dataset, Model
from winnow.config.keys.training import Distill
from winnow.config.overrides import qat_of, recommend_of, training_of
from winnow.config.study import Plain, Study
from winnow.files import digest
from winnow.study.grid import expand as strategies_of
from winnow.study.recipes import as_plain, plain
from winnow.study.vocabulary import IMPORTED, INITIAL, METHODS, QAT

_FIRST_ONLY: Plain = {"rewind_epochs": [], "freeze": [], "head_lr": None}  # what later training runs do not take over
_SMOOTH_FINAL = 0.01  # of the peak: the last rate of one_cycle and cosine is practically 0


def expand(config: Configuration) -> Study:
    """Return the study that a configuration without conflicts describes."""
    quantization, pruning = config.quantization, config.pruning
    datasets = {name: prepared_from(name, dataset) for name, dataset in config.datasets.items()}
    training = {name: training_of(config, name).model_dump(mode="json") for name in config.models}
    strategies = strategies_of(pruning.grid()) if pruning else {}
    values = {
        "study": config.study,
        "seeds": list(config.seeds),
        "datasets": datasets,
        "models": {name: _model(name, model) for name, model in config.models.items()},
        "imports": {name: _imports(name, model) for name, model in config.models.items() if model.weights},
        "trained": {name: model.trained.model_dump() for name, model in config.models.items() if model.weights},
        "normalization": {name: _normalization(dataset, config) for name, dataset in config.datasets.items()},
        "definitions": {name: digest(dataset) for name, dataset in datasets.items()},
        "training": training,
        "plain_recipes": {method: as_plain(plain(method, quantization.default)) for method in METHODS},
        "recipes": {slug: as_plain(recipe) for slug, recipe in quantization.grid().items()},
        "probed": {slug: as_plain(recipe) for slug, recipe in quantization.probed().items()},
        "candidates": [named if isinstance(named, str) else asdict(named) for named in quantization.multipliers],
        "drop_before_training": quantization.drop_before_training,
        "apply_to": quantization.apply_to,
        "export": config.export.model_dump(),
        "bounds": quantization.model_dump(include={"min_integer_macs", "min_sqnr_db", "min_agreement"}),
        "temperatures": _temperatures(config),
        "qat": {name: _qat(qat_of(config, name), training[name]) for name in config.models},
        "benchmark": config.benchmark.model_dump(mode="json"),
        "recommend": recommend_of(config).model_dump(),
        "strategies": strategies,
        "pruning": _shared(pruning) if pruning else None,
        "pruned": _pruned(config, pruning) if pruning else [],
        "retraining": _retraining(pruning, strategies, training) if pruning else {},
    }
    return Study(**{key: _sorted(value) for key, value in values.items()})


def _normalization(dataset: Dataset, config: Configuration) -> dict[str, Plain]:
    """Return by model how it gets the pixels of a data set."""
    return {name: normalized_by(dataset, _torchvision_weights(name, model)) for name, model in config.models.items()}


def _model(name: str, model: Model) -> Plain:
    kept = model.model_dump(include={"stem", "shortcut", "factory", "arguments", "output"})
    return {"label": name, "name": None if model.factory else model.name or name, **kept}


def _imports(label: str, model: Model) -> dict[str, Plain]:
    """Return which weights a network begins with, and which its training began with, as `ImportSettings` takes them."""

    def settings(entry: str, weights: str, **more: Any) -> Plain:
        return {"label": label, "entry": entry, "weights": weights, "key": None, "new_head": False} | more

    initial = {INITIAL: settings("initial_weights", model.initial_weights)} if model.initial_weights else {}
    name = _torchvision_weights(label, model)
    weights = f"{TORCHVISION}{name}" if name else model.weights or ""
    imported = settings("weights", weights, key=model.weights_key, new_head=model.new_head)
    return {IMPORTED: imported} | initial


def _torchvision_weights(label: str, model: Model) -> str | None:
    """Return the full name of the weights of torchvision that a network begins with."""
    kind = (model.weights or "").removeprefix(TORCHVISION)
    if kind == (model.weights or ""):
        return None
    return kind if "." in kind else f"{NETWORKS[model.name or label].weights}.{kind}"


def _qat(qat: Qat, training: Plain) -> Plain:
    """Ranges freeze after the first half and batch norms after two thirds, never in the first epoch."""
    observers, norms = qat.freeze_observers_epoch, qat.freeze_batchnorm_epoch
    if observers is None:
        observers = max(2, qat.epochs // 2 + 1)
    if norms is None:
        norms = max(observers, qat.epochs * 2 // 3 + 1)
    own = qat.model_dump(mode="json", exclude={"freeze_observers_epoch", "freeze_batchnorm_epoch", "distill"})
    return {
        "distill": _distill(qat.distill),
        "freeze_observers_epoch": observers,
        "freeze_batchnorm_epoch": norms,
        "training": training | own | _FIRST_ONLY,
    }


def _temperatures(config: Configuration) -> dict[str, float]:
    """Nothing, where no recipe has a weight of its own: nothing is made again for a temperature then."""
    usual = config.quantization.qat.distill.weight
    chosen = {recipe.distill for recipe in config.quantization.grid().values() if recipe.method == QAT} - {usual, 0}
    return {name: qat_of(config, name).distill.temperature for name in config.models} if chosen else {}


def _shared(pruning: Pruning) -> Plain:
    return pruning.model_dump(mode="json", include={"skip_layers", "min_density", "calibration_samples"})


def _pruned(config: Configuration, pruning: Pruning) -> list[list[str]]:
    models = pruning.chosen("models", config.models)
    return [[dataset, name] for dataset in pruning.chosen("datasets", config.datasets) for name in models]


def _retraining(
    pruning: Pruning, strategies: Mapping[str, Plain], training: Mapping[str, Plain]
) -> dict[str, dict[str, Plain]]:
    rewinds = {strategy["rewind"]: strategy["rewind_epoch"] for strategy in strategies.values()}
    return {
        name: {rewind: _retrained(pruning, training[name], rewind, epoch) for rewind, epoch in rewinds.items()}
        for name in pruning.chosen("models", training)
    }


def _retrained(pruning: Pruning, training: Plain, rewind: str, epoch: int | None) -> Plain:
    """Rewound weights take up the schedule where they stood; `none` is fine-tuning at a low rate."""
    changes = dict(_FIRST_ONLY)
    if rewind == "none":
        tuning = pruning.retrain
        constant = {"schedule": "multi_step", "milestones": []}  # no milestone: the rate stays
        changes |= constant if tuning.schedule == "constant" else {"schedule": tuning.schedule}
        changes["epochs"] = training["epochs"] if tuning.epochs is None else tuning.epochs
        changes["lr"] = tuning.lr or _final_rate(training)
        changes["warmup_epochs"] = 0
    return {
        "distill": _distill(pruning.retrain.distill),
        "first_epoch": epoch or 0,
        "training": training | changes,
    }


def _distill(distill: Distill) -> Plain | None:
    """Without a weight it is no distillation: nothing is made again for a temperature then."""
    return distill.model_dump() if distill.weight else None


def _final_rate(training: Plain) -> float:
    drops = training["gamma"] ** len(training["milestones"])
    final: float = training["lr"] * (drops if training["schedule"] == "multi_step" else _SMOOTH_FINAL)
    return final


def _sorted(value: Any) -> Any:
    """Sort keys at every level."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
