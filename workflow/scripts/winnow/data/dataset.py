"""A prepared data set: one safetensors file of uint8 images, labels, splits, class names and channel statistics."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from winnow.config.settings import NormalizationSettings
from winnow.data.fitting import Fitting
from winnow.data.normalization import Normalization, normalization
from winnow.data.stored import ChosenRows, Rows, StoredRows
from winnow.errors import WinnowError
from winnow.files import safetensors_header
from winnow.study.task import Task


@dataclass(frozen=True)
class ImageDataset:
    """A prepared data set, as a network takes it.

    Attributes:
        train_images, test_images: uint8 [N, C, H, W], in memory or in the file.
        train_labels, test_labels: int64 [N].
        train_index, validation_index: int64 [N], disjoint, together all of the training images.
        normalization: what makes the network's input of them.
        fitting: how images have come to their size.
        classes: class names, position = label.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Rows
    train_labels: Tensor
    test_images: Rows
    test_labels: Tensor
    train_index: Tensor
    validation_index: Tensor
    normalization: Normalization
    fitting: Fitting

    @property
    def task(self) -> Task:
        _, channels, height, width = self.train_images.shape
        return Task.of((channels, height, width), len(self.classes))

    def rows(self, name: str) -> tuple[Rows, Tensor]:
        """Return the images of `train`, `validation` or `test`, wherever they are, and their int64 [N] labels."""
        if name == "test":
            return self.test_images, self.test_labels
        index = {"train": self.train_index, "validation": self.validation_index}[name]
        return ChosenRows(self.train_images, index), self.train_labels[index]

    def few(self, train: int, validation: int, test: int) -> ImageDataset:
        """Return a data set of the first images of each split, at most so many, in memory."""
        first, second = self.train_index[:train], self.validation_index[:validation]
        kept = torch.cat((first, second))
        return replace(
            self,
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
            train_index=torch.arange(len(first)),
            validation_index=torch.arange(len(first), len(kept)),
        )


_SMALL = ("train_labels", "test_labels", "train_index", "validation_index")


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
        raise _no_dataset(path, f"no {error}") from error


def read_fitting(path: str | Path) -> Fitting:
    """Return how the images of a prepared data set have come to their size.

    Raises:
        WinnowError: the file is damaged or is no data set.
    """
    try:
        return Fitting.read(json.loads(safetensors_header(path)["__metadata__"]["fitting"]))
    except KeyError as error:
        raise _no_dataset(path, f"no {error}") from error


def load_dataset(path: str | Path, settings: NormalizationSettings) -> ImageDataset:
    """Return what `prepare` wrote; images stay in the file until they are asked for.

    Args:
        settings: how the network gets the pixels.

    Raises:
        WinnowError: the file is damaged or is no data set, or the settings are of other channels.
    """
    header = safetensors_header(path)
    try:
        metadata = header["__metadata__"]
        with safe_open(path, "pt") as file:  # checks that the file is as long as its header says
            small = {name: file.get_tensor(name).clone() for name in (*_SMALL, "mean", "std")}
        return ImageDataset(
            name=metadata["name"],
            classes=tuple(json.loads(metadata["classes"])),
            normalization=normalization(settings, small["mean"], small["std"], f"data set {metadata['name']}"),
            fitting=Fitting.read(json.loads(metadata["fitting"])),
            train_images=_rows(path, header["train_images"]),
            test_images=_rows(path, header["test_images"]),
            **{name: small[name] for name in _SMALL},
        )
    except (SafetensorError, OSError, KeyError) as error:
        raise _no_dataset(path, str(error)) from error


def _rows(path: str | Path, entry: dict[str, list[int]]) -> StoredRows:
    """Return a tensor that stays in its file; the header counts from its own end."""
    with Path(path).open("rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
    return StoredRows(path, begin + entry["data_offsets"][0], tuple(entry["shape"]))


def _no_dataset(path: str | Path, reason: str) -> WinnowError:
    return WinnowError(f"{path}: not a prepared data set ({reason}); delete it and run again")
