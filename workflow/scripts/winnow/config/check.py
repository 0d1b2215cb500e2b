"""What is wrong between keys that are each valid."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from winnow.config.catalog import NETWORKS, SOURCES
from winnow.config.check_images import image_conflicts
from winnow.config.check_recipes import multiplier_conflicts, recipe_conflicts, wanted_images
from winnow.config.check_size import size_conflicts
from winnow.config.check_weights import weights_conflicts
from winnow.config.choices import ACCELERATED, ACCELERATOR
from winnow.config.images import size_of
from winnow.config.keys.pruning import Pruning
from winnow.config.keys.quantization import Qat
from winnow.config.keys.study import Configuration, Dataset, Model
from winnow.config.keys.training import Training
from winnow.config.overrides import LOOKED_UP, SHIPPED_IN, qat_of, recommend_of, rewind_epochs, training_of
from winnow.errors import WinnowError
from winnow.study.grid import criterion_slug, expand, ratio_slug, unused_exclusions
from winnow.study.vocabulary import AXES, QAT, criterion
from winnow.study.words import NONE

S = TypeVar("S")
_ROUNDING = 1e-9


def check(config: Configuration) -> None:
    """Refuse a configuration whose keys do not go together.

    Raises:
        WinnowError: one line for each conflict.
    """
    for conflicts in (size_conflicts, _conflicts):  # the first tells what is too much to look through
        if lines := [f"configuration: {conflict}" for conflict in conflicts(config)]:
            raise WinnowError("\n".join(lines))


def _conflicts(config: Configuration) -> Iterator[str]:
    yield from _duplicates("seeds", config.seeds)
    yield from _duplicates("quantization.methods", config.quantization.forms)
    yield from recipe_conflicts(config.quantization)
    yield from multiplier_conflicts(config.quantization)
    trained = any(recipe.method == QAT for recipe in config.quantization.grid().values())
    for key in LOOKED_UP.values():
        yield from _duplicates(f"benchmark.{key}", getattr(config.benchmark, key))
    yield from _duplicates("training.rewind_epochs", config.training.rewind_epochs)
    for name, model in config.models.items():
        yield from _model_conflicts(name, model)
        training = training_of(config, name)
        yield from _schedule_conflicts(f"training of {name}", training)
        yield from _late(f"training of {name}", "rewind_epochs", config.training.rewind_epochs, training.epochs)
        yield from _batch_conflicts(f"training of {name}", training)
        if trained:
            yield from _qat_conflicts(f"quantization.qat of {name}", qat_of(config, name))
    yield from weights_conflicts(config)
    for name, dataset in config.datasets.items():
        yield from image_conflicts(name, dataset)
        yield from _size_conflicts(name, dataset, config)
        for key, wanted in wanted_images(config.quantization).items():
            yield from _calibration_conflicts(key, wanted, name, dataset)
    if config.pruning:
        yield from _pruning_conflicts(config, config.pruning)
    yield from _recommend_conflicts(config)


def _duplicates(key: str, values: Sequence[Any]) -> Iterator[str]:
    for value in (value for value, count in Counter(values).items() if count > 1):
        yield f"{key} lists {value!r} more than once; list each value once"


def _model_conflicts(name: str, model: Model) -> Iterator[str]:
    if "rewind_epochs" in model.training.model_fields_set:
        yield f"models.{name}.training.rewind_epochs: set it for all networks in training"
    if model.factory and model.name:
        yield f"models.{name} has both name and factory; keep one"
    elif not model.factory and (model.name or name) not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        yield f"models.{name} is no built-in network{hint}; give it a name or a factory"
    elif model.arguments and not model.factory:
        yield f"models.{name}.arguments needs a factory; built-in networks take none"
    elif model.output is not None and not model.factory:
        yield f"models.{name}.output needs a factory; built-in networks have one output"
    builtin = "" if model.factory else model.name or name
    network = NETWORKS[builtin] if builtin in NETWORKS else None  # noqa: SIM401 - `get` raises, too
    for key in ("stem", "shortcut"):
        if getattr(model, key) != Model.model_fields[key].default and not getattr(network, f"{key}s", False):
            having = ", ".join(other for other, facts in NETWORKS.items() if getattr(facts, f"{key}s"))
            yield f"models.{name}.{key}: {getattr(model, key)} has no effect here; only {having} have it, remove it"


def _schedule_conflicts(where: str, training: Training | Qat) -> Iterator[str]:
    epochs = training.epochs
    if not epochs:
        return
    if training.warmup_epochs > epochs:
        yield f"{where}: warmup_epochs {training.warmup_epochs} exceeds epochs {epochs}"
    dropped = training.schedule == "multi_step"
    if dropped and not training.milestones:
        yield f"{where}: schedule multi_step needs milestones"
    yield from _late(where, "milestones", training.milestones if dropped else (), epochs)


def _batch_conflicts(where: str, training: Training) -> Iterator[str]:
    if training.accumulate > 1 and 2 * training.accumulate > training.batch_size:
        yield (
            f"{where}: accumulate {training.accumulate} leaves less than 2 images of batch_size {training.batch_size} "
            "in each part; lower it"
        )
    padded = training.crop_padding and "crop_padding" in training.model_fields_set
    if padded and training.resized_crop is not None:
        yield f"{where} has both crop_padding and resized_crop, which are two ways to crop; keep one"


def _qat_conflicts(where: str, qat: Qat) -> Iterator[str]:
    yield from _schedule_conflicts(where, qat)
    for key in ("freeze_observers_epoch", "freeze_batchnorm_epoch"):
        epoch = getattr(qat, key)
        if epoch is not None and epoch > qat.epochs:
            yield (
                f"{where}: {key} is {epoch}, but training ends after epoch {qat.epochs} and nothing would freeze; "
                "lower it, or leave it out"
            )


def _late(where: str, key: str, listed: Sequence[float], epochs: int) -> Iterator[str]:
    if late := [epoch for epoch in listed if epoch > epochs]:
        yield f"{where}: {key} lists {late[0]}, but training ends after epoch {epochs}"


def _size_conflicts(name: str, dataset: Dataset, config: Configuration) -> Iterator[str]:
    size, key = min(size_of(dataset)), next((k for k in ("crop", "resize") if getattr(dataset, k)), "image_size")
    for label, model in config.models.items():
        builtin = model.name or label
        least = NETWORKS[builtin].smallest_image if builtin in NETWORKS and not model.factory else 0
        if size < least:
            yield (
                f"models.{label} needs images of at least {least} pixels, datasets.{name} has {size}; "
                f"set datasets.{name}.{key}: {least}"
            )


def _calibration_conflicts(key: str, wanted: int, name: str, dataset: Dataset) -> Iterator[str]:
    """Yield an error if a data set is known to have fewer training images than are wanted."""
    sizes = [size for size in (SOURCES[dataset.source].training_samples, dataset.max_train_samples) if size]
    if sizes and wanted > (available := int(min(sizes) * (1 - dataset.validation_fraction))):
        yield (f"{key} is {wanted}, but the training split of datasets.{name} has about {available} images; lower it")


def _pruning_conflicts(config: Configuration, pruning: Pruning) -> Iterator[str]:
    for axis in AXES:
        yield from _duplicates(f"pruning.{axis}", getattr(pruning, axis))
    yield from _name_conflicts("pruning.datasets", pruning.datasets, config.datasets)
    yield from _name_conflicts("pruning.models", pruning.models, config.models)
    yield from _slug_conflicts("criterion", pruning.criterion, criterion_slug)
    yield from _slug_conflicts("ratio", pruning.ratio, ratio_slug)
    yield from _exclusion_conflicts(pruning)
    yield from _density_conflicts(pruning)
    yield from _distill_conflicts(pruning)
    if any(criterion(name).gradient for name in pruning.criterion):
        for name in pruning.chosen("datasets", config.datasets):
            wanted = pruning.calibration_samples
            yield from _calibration_conflicts("pruning.calibration_samples", wanted, name, config.datasets[name])
    for name in pruning.chosen("models", config.models):
        if config.models[name].weights:
            continue  # it has no early epochs at all
        epochs = training_of(config, name).epochs
        for epoch in rewind_epochs(config):
            if epoch >= epochs:
                yield (
                    f"pruning.rewind lists epoch {epoch}, but training of {name} has {epochs} epochs and nothing would "
                    f"be left to train; choose at most {epochs - 1}"
                )


def _name_conflicts(key: str, names: Sequence[str] | None, known: Sequence[str] | dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys(names or ()):
        if name not in known:
            yield f"{key} lists {name!r}, which is none of {', '.join(known)}"


def _slug_conflicts(axis: str, values: Sequence[S], slug_of: Callable[[S], str]) -> Iterator[str]:
    named: dict[str, S] = {}
    for value in dict.fromkeys(values):
        slug = slug_of(value)
        first = named.setdefault(slug, value)
        if first != value:
            yield (
                f"pruning.{axis} lists {first!r} and {value!r}, which are both {slug} in the names of files; change one"
            )


def _density_conflicts(pruning: Pruning) -> Iterator[str]:
    ratio, least = max(pruning.ratio), pruning.min_density
    if ratio + least > 1 + _ROUNDING:
        yield f"pruning.min_density {least:g} keeps more of each layer than pruning.ratio {ratio:g} leaves; lower one"


def _distill_conflicts(pruning: Pruning) -> Iterator[str]:
    if pruning.retrain.distill.weight and pruning.rewind == (NONE,) and pruning.retrain.epochs == 0:
        yield "pruning.retrain.distill has no effect with epochs: 0; remove it, or train for some"


def _exclusion_conflicts(pruning: Pruning) -> Iterator[str]:
    grid = pruning.grid()
    for number, exclusion in enumerate(grid["exclude"]):
        if not exclusion:
            yield f"pruning.exclude.{number} names no axis; name at least one, or remove it"
    for exclusion in unused_exclusions(grid):
        texts = (f"{axis}: {values[0] if len(values) == 1 else values}" for axis, values in exclusion.items())
        yield f"pruning.exclude: {{{', '.join(texts)}}} matches no combination of the lists; correct or remove it"
    if all(grid["exclude"]) and not expand(grid):
        yield "pruning.exclude leaves no combination; remove an exclusion, or the pruning section"


def _recommend_conflicts(config: Configuration) -> Iterator[str]:
    recommend = recommend_of(config)
    limited = [key for key in ("max_latency_ms", "max_energy_mj") if getattr(recommend, key) is not None]
    limited += [f"objective: {recommend.objective}"] if recommend.objective in ("latency", "energy") else []
    if recommend.target == ACCELERATOR and recommend.objective not in ACCELERATED:
        yield (
            f"recommend.objective: {recommend.objective} is not known of what runs on an {ACCELERATOR}; choose one of "
            f"{', '.join(ACCELERATED)}, or leave it out"
        )
    if recommend.target != ACCELERATOR and recommend.objective == ACCELERATED[0]:
        yield f"recommend.objective: {recommend.objective} means nothing here; set recommend.target: {ACCELERATOR}"
    shippable = set(SHIPPED_IN) & set(config.benchmark.runtimes)
    for key, listed in LOOKED_UP.items():
        if key == "runtime" and not shippable and not limited:
            continue  # nothing is asked of a runtime, and none is timed that could be named
        value, timed = getattr(recommend, key), getattr(config.benchmark, listed)
        if value not in timed:
            reason = f"recommend.{limited[0]} refers to it" if limited else "the report refers to it"
            yield (
                f"recommend.{key} is {value}, which benchmark.{listed} ({', '.join(map(str, timed))}) does not time, "
                f"and {reason}; add it there, or choose another"
            )
