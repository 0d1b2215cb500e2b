"""A prepared data set without torch: arrays mapped from its file, of which only what is used is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.errors import WinnowError
from winnow.files import safetensors_header
from winnow.study.task import Task

_TYPES = {"U8": np.uint8, "I64": np.int64, "F32": np.float32}
_VALUES = np.arange(256)  # of a pixel


@dataclass(frozen=True)
class Samples:
    """One split.

    Attributes:
        pixels: uint8 [all, C, H, W], of every image that is stored with those of the split.
        places: int64 [N], where in them the images of the split are.
        labels: int64 [N].
        mean, std: float32 [C], of pixels scaled to 0..1.
    """

    pixels: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def normalized(self, start: int, stop: int) -> np.ndarray:
        """Return the input of the network for some images, in stored order: float32 [N, C, H, W]."""
        channels = np.arange(len(self.mean))[:, None, None]
        inputs: np.ndarray = self._inputs()[channels, self.pixels[self.places[start:stop]]]
        return inputs

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Yield normalized float32 [N, C, H, W] in stored order; N is `size` but for the last."""
        for start in range(0, len(self), size):
            yield self.normalized(start, start + size)

    def _inputs(self) -> np.ndarray:
        """Return what each value of a pixel is for the network, float32 [C, 256].

        Product and sum are rounded once, as by the fused operation of `batches.Split.normalized`.
        """
        scale, shift = 1 / (np.float32(255) * self.std), -self.mean / self.std
        exact: np.ndarray = _VALUES * scale[:, None].astype(np.float64) + shift[:, None]
        return exact.astype(np.float32)


@dataclass(frozen=True)
class Prepared:
    """A prepared data set: its class names, position = label, and its arrays by the names of `ImageDataset`."""

    classes: tuple[str, ...]
    arrays: dict[str, np.ndarray]

    @property
    def task(self) -> Task:
        _, channels, size, _ = self.arrays["train_images"].shape
        return Task(channels, size, len(self.classes))

    def split(self, name: str) -> Samples:
        """Return `train`, `validation` or `test`."""
        stored = "test" if name == "test" else "train"
        labels = self.arrays[f"{stored}_labels"]
        places = np.arange(len(labels)) if name == "test" else self.arrays[f"{name}_index"]
        mean, std = self.arrays["mean"], self.arrays["std"]
        return Samples(self.arrays[f"{stored}_images"], places, labels[places], mean, std)


def read_prepared(path: str | Path) -> Prepared:
    """Map what `dataset.save_dataset` wrote.

    Raises:
        WinnowError: the file is damaged or is no data set.
    """
    header = safetensors_header(path)
    try:
        metadata = header.pop("__metadata__")
        arrays = {name: _mapped(path, entry) for name, entry in header.items()}
        return Prepared(tuple(json.loads(metadata["classes"])), arrays)
    except (KeyError, ValueError) as error:
        raise WinnowError(f"{path}: not a prepared data set ({error}); delete it and run again") from error


def _mapped(path: str | Path, entry: dict[str, list[int]]) -> np.ndarray:
    """Return the array that an entry of a safetensors header describes."""
    with Path(path).open("rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
    offset = begin + entry["data_offsets"][0]
    return np.memmap(path, _TYPES[str(entry["dtype"])], "r", offset, tuple(entry["shape"]))
