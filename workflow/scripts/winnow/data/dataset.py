"""A prepared data set in tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from winnow.config.settings import NormalizationSettings
from winnow.data.fitting import Fitting
from winnow.data.normalization import Normalization
from winnow.data.prepared import no_dataset, read_prepared
from winnow.data.sample import sample
from winnow.data.stored import ChosenRows, Rows, StoredRows
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
        """Return a data set of some images of each split, at most so many, in memory (`sample`)."""
        parts = ((self.train_index, train), (self.validation_index, validation))
        first, second = (index[torch.from_numpy(sample(len(index), most))] for index, most in parts)
        kept, tested = torch.cat((first, second)), torch.from_numpy(sample(len(self.test_labels), test))
        return replace(
            self,
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            test_images=self.test_images[tested],
            test_labels=self.test_labels[tested],
            train_index=torch.arange(len(first)),
            validation_index=torch.arange(len(first), len(kept)),
        )


def read_fitting(path: str | Path) -> Fitting:
    """Return how the images of a prepared data set have come to their size.

    Raises:
        WinnowError: the file is damaged or is no data set.
    """
    try:
        return Fitting.read(json.loads(safetensors_header(path)["__metadata__"]["fitting"]))
    except KeyError as error:
        raise no_dataset(path, f"no {error}") from error


def load_dataset(path: str | Path, settings: NormalizationSettings) -> ImageDataset:
    """Return what `prepare` wrote; images stay in the file until they are asked for.

    Args:
        settings: how the network gets the pixels.

    Raises:
        WinnowError: the file is damaged or is no data set, or the settings are of other channels.
    """
    prepared = read_prepared(path, settings)
    return ImageDataset(
        name=prepared.name,
        classes=prepared.classes,
        train_images=StoredRows(prepared.images["train"]),
        test_images=StoredRows(prepared.images["test"]),
        normalization=prepared.normalization,
        fitting=Fitting.read(prepared.fitting),
        **{name: torch.from_numpy(array) for name, array in prepared.arrays.items()},
    )
