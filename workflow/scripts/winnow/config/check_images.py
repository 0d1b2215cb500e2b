"""What is wrong between keys that say how images become the input of a network."""

from __future__ import annotations

from collections.abc import Iterator

from winnow.config.catalog import SOURCES
from winnow.config.keys.study import Dataset

_OF_FILES = ("background", "upright", "classes")


def image_conflicts(name: str, dataset: Dataset) -> Iterator[str]:
    """Yield what contradicts, or has no effect, in the sizes, the files and the normalization of a data set."""
    where = f"datasets.{name}"
    yield from _size_conflicts(where, dataset)
    yield from _source_conflicts(where, dataset)
    yield from _normalization_conflicts(where, dataset)


def _size_conflicts(where: str, dataset: Dataset) -> Iterator[str]:
    resize, crop = dataset.resize, dataset.crop
    for key in ("resize", "crop"):
        if dataset.image_size and getattr(dataset, key):
            yield f"{where} has both image_size and {key}, which each say what size images get; keep one"
    if resize and len(resize) == 1 and not crop:
        yield (
            f"{where}.resize: {resize[0]} gives the shorter side only, and images of different shapes; "
            f"add crop, or write [{resize[0]}, {resize[0]}]"
        )
    if resize and crop:
        larger = min(crop) > resize[0] if len(resize) == 1 else any(c > r for c, r in zip(crop, resize, strict=True))
        if larger:
            sizes = " x ".join(map(str, crop)), " x ".join(map(str, resize))
            yield f"{where}.crop, {sizes[0]}, is larger than resize, {sizes[1]}, leaves; lower crop"


def _source_conflicts(where: str, dataset: Dataset) -> Iterator[str]:
    own = SOURCES[dataset.source].own_files
    for key in () if own else _OF_FILES:
        if getattr(dataset, key) != Dataset.model_fields[key].get_default():
            yield f"{where}.{key} is for image_folder; {dataset.source} has no such files: remove it"
    scaled = dataset.resize or (own and not dataset.crop)
    if dataset.interpolation and not scaled:
        advice = "remove it" if dataset.crop or not dataset.image_size else "write resize in place of image_size"
        yield f"{where}.interpolation has no effect here; {advice}"


def _normalization_conflicts(where: str, dataset: Dataset) -> Iterator[str]:
    channels = dataset.channels or SOURCES[dataset.source].channels
    given = [key for key in ("mean", "std") if getattr(dataset, key)]
    if len(given) == 1:
        yield f"{where} has {given[0]} alone of mean and std; give both, or none"
    for key in given:
        if (count := len(getattr(dataset, key))) not in (1, channels):
            there = "one channel; give one" if channels == 1 else f"{channels} channels; give one, or {channels}"
            yield f"{where}.{key} has {count} numbers, and images have {there}"
    if dataset.channel_order != "rgb" and channels == 1:
        yield f"{where}.channel_order is {dataset.channel_order}, and images have one channel; remove it"
    highest = max(dataset.mean or (0.0,))
    if min(dataset.mean or (0.0,)) < 0 or highest > dataset.value_range:
        advice = "set value_range: 255" if 1 < highest <= 255 else "correct it"
        yield f"{where}.mean is outside 0 to {dataset.value_range}, the value_range; {advice}"
    elif dataset.value_range == 255 and 0 < highest <= 1:
        yield f"{where}.mean is of pixels from 0 to 1, and value_range is 255; set value_range: 1, or correct it"
