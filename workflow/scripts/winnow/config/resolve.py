"""From the user's configuration to the study: parsed, checked, expanded.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from winnow.config.catalog import SOURCES, TORCHVISION
from winnow.config.check import check
from winnow.config.expand import expand
from winnow.config.parse import parse
from winnow.config.study import Study
from winnow.errors import WinnowError
from winnow.files import safetensors_metadata


def resolve(config: Any) -> Study:
    """Return the study that a configuration describes.

    Raises:
        WinnowError: one line for each thing that is wrong.
    """
    configuration = parse(config)
    check(configuration)
    return expand(configuration)


def check_own_files(study: Study) -> None:
    """Refuse to run a study whose images or weights are not there. To look at its results they are not needed.

    Raises:
        WinnowError: one line for each file.
    """
    if absent := [f"configuration: {line}" for line in _absent(study)]:
        raise WinnowError("\n".join(absent))


def _absent(study: Study) -> Iterator[str]:
    for name, dataset in study.datasets.items():
        if SOURCES[dataset["source"]].own_files and (problem := _problem(Path(dataset["path"]), "the images")):
            yield f"datasets.{name}.path: {dataset['path']} {problem}"
    for name, files in study.imports.items():
        for settings in files.values():
            path = Path(settings["weights"])
            if settings["weights"].startswith(TORCHVISION):
                continue
            if problem := _file_problem(path):
                yield f"models.{name}.{settings['entry']}: {path} {problem}"
    tables = {Path(table): slug for slug, recipe in study.recipes.items() for table in study.own_tables(recipe)}
    for table, slug in tables.items():
        if problem := _file_problem(table):
            yield f"quantization: the circuit of {slug}: {table} {problem}"


def _file_problem(path: Path) -> str:
    """Return why a path leads to no file; "" if it does."""
    return _problem(path, "the file") or ("" if path.is_file() else "is no file; correct it")


def _problem(path: Path, what: str) -> str:
    """Return why there is nothing at a path; "" if there is."""
    try:
        path.stat()
    except FileNotFoundError:
        return f"does not exist; put {what} there, or correct it"
    except OSError as error:
        return f"cannot be reached ({error.strerror}); correct it"
    return ""


def check_prepared(study: Study, folder: Path) -> None:
    """Refuse to reuse, or to overwrite, a prepared data set that has this name but another definition.

    Raises:
        WinnowError: names the file.
    """
    for name, definition in study.definitions.items():
        path = folder / f"{name}.safetensors"
        if path.exists() and safetensors_metadata(path).get("definition") != definition:
            raise WinnowError(
                f"datasets.{name}: {path} was prepared from another definition and other studies may use it; "
                f"give the data set another name, or delete {path}"
            )
