"""What a data set's keys come to: the size of its images, the order of its classes, how pixels are normalized.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from pathlib import Path

from winnow.config.catalog import SOURCES
from winnow.config.keys.study import Dataset
from winnow.config.study import Plain
from winnow.errors import WinnowError
from winnow.text import is_line, shown

_ARITHMETIC = {"mean", "std", "value_range", "channel_order"}
_MOST_CLASSES = 1_000_000


def size_of(dataset: Dataset) -> tuple[int, ...]:
    """Return (height, width) of prepared images; one number is the shorter side."""
    source = SOURCES[dataset.source].image_size
    return dataset.crop or dataset.resize or dataset.image_size or (source, source)


def prepared_from(name: str, dataset: Dataset) -> Plain:
    """Return what a data set is made from, as `DatasetSettings` takes it.

    Images of the user's own have no size of their own to keep: what is prepared depends on no default elsewhere.

    Raises:
        WinnowError: the file that names the classes cannot be read.
    """
    source, piped = SOURCES[dataset.source], dataset.resize or dataset.crop
    values: Plain = {"name": name, **dataset.model_dump(mode="json", exclude=_ARITHMETIC)}
    if source.own_files and not piped and not dataset.image_size:
        values["image_size"] = [source.image_size] * 2
    values["interpolation"] = dataset.interpolation or ("bilinear" if piped or not source.own_files else "bicubic")
    if isinstance(dataset.classes, str):
        values["classes"] = _listed(dataset.classes, f"configuration: datasets.{name}.classes: {dataset.classes}")
    return values


def normalized_by(dataset: Dataset, stated_by: str | None) -> Plain:
    """Return how pixels become what a network takes, as `NormalizationSettings` takes it.

    Args:
        stated_by: torchvision's weights that the network begins with, if any.
    """
    values: Plain = dataset.model_dump(mode="json", include=_ARITHMETIC)
    return values | {"stated_by": stated_by if dataset.mean is None else None}


def _listed(path: str, where: str) -> list[str]:
    """Return the names in a file, one a line."""
    try:
        names = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise WinnowError(f"{where} cannot be read ({error.strerror}); put the file there, or correct it") from None
    except ValueError:
        raise WinnowError(f"{where} is no text in UTF-8; save it as such") from None
    names = [name.removesuffix("\r") for name in names]
    while names and not names[-1]:
        names.pop()
    if not 2 <= len(names) <= _MOST_CLASSES:
        raise WinnowError(f"{where} has {len(names)} lines; write one class a line, at least two")
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name or name in seen or not is_line(name):
            problem = "is empty" if not name else f"names {shown(name)} again" if name in seen else "is no line of text"
            raise WinnowError(f"{where}, line {number}, {problem}; write each class once, one a line")
        seen.add(name)
    return names
