"""A prepared data set: one safetensors file of uint8 images, labels, splits, class names and channel statistics.

Read without torch; images stay in the file until they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from winnow.config.settings import NormalizationSettings
from winnow.data.file_rows import FileRows
from winnow.data.normalization import Normalization, normalization
from winnow.data.sample import sample
from winnow.errors import WinnowError
from winnow.files import safetensors_header
from winnow.study.task import Task

_TYPES = {"I64": np.int64, "F32": np.float32}
_MOST_AT_ONCE = 2**26  # bytes of a batch as float32: 500 images of 105 x 105 pixels


@dataclass(frozen=True)
class Samples:
    """One split.

    Attributes:
        rows: uint8 [all, C, H, W], every image that is stored with those of the split.
        places: int64 [N], where in them the images of the split are.
        labels: int64 [N].
        normalization: makes the input of a network of images; None for one that takes them as they are stored.
    """

    rows: FileRows
    places: np.ndarray
    labels: np.ndarray
    normalization: Normalization | None

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, start: int, stop: int) -> np.ndarray:
        """Return the input of the network for some images, in stored order: float32 or uint8 [N, C, H, W]."""
        return self._input(self.places[start:stop])

    def few(self, most: int) -> np.ndarray:
        """Return what `inputs` returns for at most so many images, of all classes (`sample`)."""
        return self._input(self.places[sample(len(self), most)])

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Yield what `inputs` returns in stored order; N is `size`, or less for large images and the last."""
        count = max(1, min(size, _MOST_AT_ONCE // (4 * int(np.prod(self.rows.shape[1:])))))
        for start in range(0, len(self), count):
            yield self.inputs(start, start + count)

    def _input(self, places: np.ndarray) -> np.ndarray:
        images = self.rows.read(places)
        return images if self.normalization is None else self.normalization(images)


@dataclass(frozen=True)
class Prepared:
    """A prepared data set, as a network takes it.

    Attributes:
        classes: class names, position = label.
        images: uint8 [N, C, H, W], of `train` (with `validation`) and `test`.
        arrays: int64 [N] each: `train_labels`, `test_labels`, `train_index`, `validation_index`.
        fitting: how images have come to their size; see `data.fitting`.
    """

    name: str
    classes: tuple[str, ...]
    images: dict[str, FileRows]
    arrays: dict[str, np.ndarray]
    normalization: Normalization
    fitting: dict[str, Any]

    @property
    def task(self) -> Task:
        _, channels, height, width = self.images["train"].shape
        return Task.of((channels, height, width), len(self.classes))

    def split(self, name: str) -> Samples:
        """Return `train`, `validation` or `test`."""
        stored = "test" if name == "test" else "train"
        labels = self.arrays[f"{stored}_labels"]
        places = np.arange(len(labels)) if name == "test" else self.arrays[f"{name}_index"]
        return Samples(self.images[stored], places, labels[places], self.normalization)


def read_prepared(path: str | Path, settings: NormalizationSettings) -> Prepared:
    """Open what `prepare` wrote.

    Args:
        settings: how the network gets the pixels.

    Raises:
        WinnowError: the file is damaged or is no data set, or the settings are of other channels.
    """
    header = safetensors_header(path)
    try:
        metadata = header.pop("__metadata__")
        begin = _begin(path)
        if max(begin + entry["data_offsets"][1] for entry in header.values()) != Path(path).stat().st_size:
            raise ValueError("it is not as long as its header says")
        images = {
            name: FileRows(path, begin + entry["data_offsets"][0], tuple(entry["shape"]))
            for name, entry in ((name, header.pop(f"{name}_images")) for name in ("train", "test"))
        }
        arrays = {
            name: np.fromfile(path, _TYPES[entry["dtype"]], entry["shape"][0], offset=begin + entry["data_offsets"][0])
            for name, entry in header.items()
        }
        statistics = (arrays.pop("mean"), arrays.pop("std"))
        found = metadata["name"], tuple(json.loads(metadata["classes"])), json.loads(metadata["fitting"])
    except (KeyError, ValueError, OSError) as error:
        raise no_dataset(path, str(error)) from error
    name, classes, fitting = found
    as_fed = normalization(settings, *statistics, f"data set {name}")
    return Prepared(name, classes, images, arrays, as_fed, fitting)


def read_task(path: str | Path) -> Task:
    """Return what a network for a prepared data set is built for, without reading its images.

    Raises:
        WinnowError: the file is damaged or is no data set.
    """
    header = safetensors_header(path)
    try:
        _, channels, height, width = header["train_images"]["shape"]
        return Task.of((channels, height, width), len(json.loads(header["__metadata__"]["classes"])))
    except KeyError as error:
        raise no_dataset(path, f"no {error}") from error


def no_dataset(path: str | Path, reason: str) -> WinnowError:
    """Return the error of a file that is no prepared data set."""
    return WinnowError(f"{path}: not a prepared data set ({reason}); delete it and run again")


def _begin(path: str | Path) -> int:
    """Return where tensors begin in a safetensors file; its header counts from there."""
    with Path(path).open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")
