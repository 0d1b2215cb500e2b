"""From the user's configuration to the resolved study: checked, completed by defaults, expanded.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from winnow.config.pruning import calibration_conflict, pruning_conflicts, resolve_pruning, rewind_epochs
from winnow.config.recommend import recommend_conflicts, resolve_recommend
from winnow.config.schema import fill_defaults, load_schema, schema_errors, typed
from winnow.errors import WinnowError
from winnow.files import digest, safetensors_metadata

_IMAGE_SIZE = {"digits": 32, "cifar10": 32, "cifar100": 32, "mnist": 28, "fashion_mnist": 28, "image_folder": 32}
_SMALLEST_IMAGE = {"vgg16_bn": 32, "lenet5": 16}


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check a configuration and return the study it describes, as plain values with sorted keys.

    Returns:
        `study`, `seeds`, `methods`, `ptq`, `benchmark`, `recommend`; `datasets`, `models`, `training` and
        `qat` by name, each as the settings class of that stage takes it; `definitions` (digest of what a data set
        is made from) and `factories` (digest of the user's module, where it is found) by name; `apply_to`; and
        what `resolve_pruning` adds.

    Raises:
        WinnowError: one line for each thing that is wrong.
    """
    schema = load_schema()
    config = typed(dict(config), schema)
    _raise(schema_errors(config, schema))
    fill_defaults(config, schema)
    models = config["models"]
    overrides = _expanded_overrides(models, schema)
    quantization, pruning = config["quantization"], config.get("pruning")
    rewinds = rewind_epochs(pruning)
    config["training"]["rewind_epochs"] += [e for e in rewinds if e not in config["training"]["rewind_epochs"]]
    training = {name: config["training"] | models[name]["training"] for name in models}
    qat = {name: _qat(quantization["qat"] | models[name]["qat"], training[name]) for name in models}
    study = {
        "study": config["study"],
        "seeds": config["seeds"],
        "methods": quantization["methods"],
        "apply_to": quantization["apply_to"],
        "datasets": {name: {"name": name} | values for name, values in config["datasets"].items()},
        "models": {name: _model(name, values) for name, values in models.items()},
        "training": training,
        "bounds": {key: quantization[key] for key in ("min_integer_macs", "min_sqnr_db", "min_agreement")},
        "ptq": quantization["ptq"],
        "qat": qat,
        "benchmark": config["benchmark"],
        "recommend": resolve_recommend(config["recommend"], config["benchmark"]),
        "factories": {name: _factory_digest(values["factory"]) for name, values in models.items()},
    }
    study["definitions"] = {name: definition(values) for name, values in study["datasets"].items()}
    pruned = (pruning, study["datasets"], study["models"], training)
    _raise(
        [
            *overrides,
            *_duplicates(study),
            *_conflicts(study, models),
            *pruning_conflicts(*pruned),
            *recommend_conflicts(study),
        ]
    )
    return _sorted(study | resolve_pruning(pruning, study["datasets"], training))


def definition(dataset: Mapping[str, Any]) -> str:
    """Return the digest of what a data set is made from."""
    return digest(dict(dataset))


def check_images(study: Mapping[str, Any]) -> None:
    """Refuse to run a study whose images are not there. To look at its results they are not needed.

    Raises:
        WinnowError: one line for each data set.
    """
    _raise(
        [
            f"configuration: datasets.{name}.path: {dataset['path']} does not exist"
            for name, dataset in study["datasets"].items()
            if dataset["source"] == "image_folder" and not Path(dataset["path"]).exists()
        ]
    )


def check_prepared(study: Mapping[str, Any], folder: Path) -> None:
    """Refuse to reuse, or to overwrite, a prepared data set that has this name but another definition.

    Raises:
        WinnowError: names the file.
    """
    for name in study["datasets"]:
        path = folder / f"{name}.safetensors"
        if path.exists() and safetensors_metadata(path).get("definition") != study["definitions"][name]:
            raise WinnowError(
                f"datasets.{name}: {path} was prepared from another definition and other studies may use it; "
                f"give the data set another name, or delete {path}"
            )


def _raise(errors: list[str]) -> None:
    if errors:
        raise WinnowError("\n".join(errors))


def _expanded_overrides(models: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Check each model's own training and qat keys against the schemas they override."""
    errors = []
    for name, values in models.items():
        for part in ("training", "qat"):
            subschema = schema["$defs"][part] | {"$defs": schema["$defs"]}
            values[part] = typed(values[part], subschema)
            for line in schema_errors(values[part], subschema):
                errors.append(line.replace("configuration:", f"configuration: models.{name}.{part}:", 1))
        if "rewind_epochs" in values["training"]:
            errors.append(f"configuration: models.{name}.training.rewind_epochs: set it for all networks in training")
    return errors


def _model(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: values[key] for key in ("stem", "shortcut", "factory", "arguments")}
    builtin = None if values["factory"] else values.get("name", name)
    return {"label": name, "name": builtin, **kept}


def _qat(values: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(values)
    epochs = values["epochs"]
    observers, norms = values.pop("freeze_observers_epoch"), values.pop("freeze_batchnorm_epoch")
    observers = max(2, epochs // 2 + 1) if observers is None else observers
    return {
        "freeze_observers_epoch": observers,
        "freeze_batchnorm_epoch": max(observers, epochs * 2 // 3 + 1) if norms is None else norms,
        "training": dict(training) | values | {"rewind_epochs": []},
    }


def _factory_digest(factory: str | None) -> str:
    """Return a digest of the file a factory is defined in, so that editing it trains again."""
    if not factory:
        return ""
    path = Path(*factory.partition(":")[0].split("."))
    files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return digest(files[0].read_text(encoding="utf-8")) if files else ""


def _duplicates(study: Mapping[str, Any]) -> Iterator[str]:
    axes = {"seeds": study["seeds"], "quantization.methods": study["methods"]}
    axes |= {f"benchmark.{key}": study["benchmark"][key] for key in ("runtimes", "batch_sizes", "threads")}
    axes["training.rewind_epochs"] = next(iter(study["training"].values()))["rewind_epochs"]
    for axis, values in axes.items():
        for value in dict.fromkeys(v for v in values if values.count(v) > 1):
            yield f"configuration: {axis} lists {value!r} more than once; list each value once"


def _conflicts(study: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between keys that are each valid."""
    known = load_schema()["$defs"]["model"]["properties"]["name"]["enum"]
    for name, model in study["models"].items():
        if models[name]["factory"] and "name" in models[name]:
            yield f"configuration: models.{name} has both name and factory; keep one"
        elif not models[name]["factory"] and model["name"] not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            yield f"configuration: models.{name} is no built-in network{hint}; give it a name or a factory"
        elif model["arguments"] and not model["factory"]:
            yield f"configuration: models.{name}.arguments needs a factory; built-in networks take none"
        yield from _training_conflicts(f"training of {name}", study["training"][name])
        if "qat" in study["methods"]:
            yield from _training_conflicts(f"quantization.qat of {name}", study["qat"][name]["training"])
    for name, dataset in study["datasets"].items():
        size = dataset["image_size"] or _IMAGE_SIZE[dataset["source"]]
        for model in study["models"].values():
            if size < _SMALLEST_IMAGE.get(model["name"], 0):
                least = _SMALLEST_IMAGE[model["name"]]
                yield (
                    f"configuration: models.{model['label']} needs images of at least {least} pixels, "
                    f"datasets.{name} has {size}; set datasets.{name}.image_size: {least}"
                )
        if "ptq" in study["methods"]:
            key = "quantization.ptq.calibration_samples"
            yield from calibration_conflict(key, name, dataset, study["ptq"]["calibration_samples"])


def _training_conflicts(where: str, training: Mapping[str, Any]) -> Iterator[str]:
    epochs = training["epochs"]
    if training["warmup_epochs"] > epochs:
        yield f"configuration: {where}: warmup_epochs {training['warmup_epochs']} exceeds epochs {epochs}"
    if training["schedule"] == "multi_step" and not training["milestones"]:
        yield f"configuration: {where}: schedule multi_step needs milestones"
    for key in ("milestones", "rewind_epochs"):
        late = [epoch for epoch in training[key] if epoch > epochs]
        if late and (key != "milestones" or training["schedule"] == "multi_step"):
            yield f"configuration: {where}: {key} lists {late[0]}, but training ends after epoch {epochs}"


def _sorted(value: Any) -> Any:
    """Sort keys at every level: Snakemake compares parameters by their text."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
