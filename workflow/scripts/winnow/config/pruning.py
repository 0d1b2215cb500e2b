"""The `pruning` section of the configuration: the grid, its retraining, and what is wrong between its keys.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from winnow.study.grid import AXES, expand, unused_exclusions

NO_PRUNING = {"strategies": {}, "pruning": None, "pruned": [], "retraining": {}}
TRAINING_SAMPLES = {"digits": 1437, "cifar10": 50_000, "cifar100": 50_000, "mnist": 60_000, "fashion_mnist": 60_000}
_SMOOTH_FINAL = 0.01  # of the peak: the last rate of one_cycle and cosine is practically 0


def resolve_pruning(
    config: Mapping[str, Any] | None, datasets: Mapping[str, Any], training: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the pruning part of the study.

    Args:
        config: the completed `pruning` section, or None.
        datasets: of the study, by name.
        training: the resolved training of every network, by name.

    Returns:
        `strategies` by slug; `pruning`, as its settings class takes it; `pruned`, the [dataset, model] pairs
        it applies to; `retraining` by model and rewind, as its settings class takes it.
    """
    if config is None:
        return NO_PRUNING
    strategies = expand(config)
    pairs = [[dataset, model] for dataset in _chosen(config, datasets, "datasets") for model in training]
    models = _chosen(config, training, "models")
    rewinds = {strategy["rewind"]: strategy["rewind_epoch"] for strategy in strategies.values()}
    return {
        "strategies": strategies,
        "pruning": {key: config[key] for key in ("skip_layers", "min_density", "calibration_samples")},
        "pruned": [pair for pair in pairs if pair[1] in models],
        "retraining": {
            model: {rewind: _retraining(config, training[model], rewind, epoch) for rewind, epoch in rewinds.items()}
            for model in models
        },
    }


def rewind_epochs(config: Mapping[str, Any] | None) -> list[int]:
    """Return the epochs whose weights the grid goes back to."""
    return sorted({epoch for epoch in config["rewind"] if isinstance(epoch, int)}) if config else []


def _chosen(config: Mapping[str, Any], known: Mapping[str, Any], key: str) -> list[str]:
    return list(known) if config[key] is None else [name for name in known if name in config[key]]


def _retraining(
    config: Mapping[str, Any], training: Mapping[str, Any], rewind: str, epoch: int | None
) -> dict[str, Any]:
    """Rewound weights take up the schedule where they stood; `none` is fine-tuning at a low rate."""
    changes: dict[str, Any] = {"rewind_epochs": []}
    if rewind == "none":
        tuning = config["retrain"]
        constant = {"schedule": "multi_step", "milestones": []}  # no milestone: the rate stays
        changes |= constant if tuning["schedule"] == "constant" else {"schedule": tuning["schedule"]}
        changes["epochs"] = tuning["epochs"] or training["epochs"]
        changes["lr"] = tuning["lr"] or _final_rate(training)
        changes["warmup_epochs"] = 0
    return {"first_epoch": epoch or 0, "training": dict(training) | changes}


def _final_rate(training: Mapping[str, Any]) -> float:
    drops = training["gamma"] ** len(training["milestones"])
    return training["lr"] * (drops if training["schedule"] == "multi_step" else _SMOOTH_FINAL)


def pruning_conflicts(
    config: Mapping[str, Any] | None,
    datasets: Mapping[str, Any],
    models: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Iterator[str]:
    """Yield what is wrong between keys that are each valid."""
    if config is None:
        return
    for axis in AXES:
        for value in dict.fromkeys(v for v in config[axis] if config[axis].count(v) > 1):
            yield f"configuration: pruning.{axis} lists {value!r} more than once; list each value once"
    for key, known in (("datasets", datasets), ("models", models)):
        for name in set(config[key] or []) - set(known):
            yield f"configuration: pruning.{key} lists {name!r}, which is none of {', '.join(known)}"
    for exclusion in unused_exclusions(config):
        text = ", ".join(f"{axis}: {value}" for axis, value in exclusion.items())
        yield f"configuration: pruning.exclude: {{{text}}} matches no combination of the lists; correct or remove it"
    if not expand(config):
        yield "configuration: pruning.exclude leaves no combination; remove an exclusion, or the pruning section"
    if {"taylor", "snip"} & set(config["criterion"]):
        wanted = config["calibration_samples"]
        for name in _chosen(config, datasets, "datasets"):
            yield from calibration_conflict("pruning.calibration_samples", name, datasets[name], wanted)
    for name in _chosen(config, models, "models"):
        epochs = training[name]["epochs"]
        for epoch in rewind_epochs(config):
            if epoch >= epochs:
                yield (
                    f"configuration: pruning.rewind lists epoch {epoch}, but training of {name} has {epochs} epochs "
                    f"and nothing would be left to train; choose at most {epochs - 1}"
                )


def calibration_conflict(key: str, name: str, dataset: Mapping[str, Any], wanted: int) -> Iterator[str]:
    """Yield an error if a data set is known to have fewer training images than `wanted` under `key`."""
    sizes = [size for size in (TRAINING_SAMPLES.get(dataset["source"]), dataset["max_train_samples"]) if size]
    if sizes and wanted > (available := int(min(sizes) * (1 - dataset["validation_fraction"]))):
        yield (
            f"configuration: {key} is {wanted}, but the training split of datasets.{name} has about {available} "
            "images; lower it"
        )
