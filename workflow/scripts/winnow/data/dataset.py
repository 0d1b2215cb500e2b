"""A prepared data set as one safetensors file: uint8 images, labels, splits, class names, channel statistics."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from winnow.errors import WinnowError
from winnow.files import order_metadata, replacing, safetensors_header, safetensors_metadata
from winnow.study.task import Task


@dataclass(frozen=True)
class ImageDataset:
    """A prepared data set.

    Attributes:
        train_images, test_images: uint8 [N, C, H, W], H = W.
        train_labels, test_labels: int64 [N].
        train_index, validation_index: int64 [N], disjoint, together all of the training images.
        mean, std: float32 [C], of the training split's pixels scaled to 0..1.
        classes: class names, position = label.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    train_index: Tensor
    validation_index: Tensor
    mean: Tensor
    std: Tensor

    @property
    def task(self) -> Task:
        return Task(self.train_images.shape[1], self.train_images.shape[2], len(self.classes))

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Return (uint8 [N, C, H, W] images, int64 [N] labels) of `train`, `validation` or `test`."""
        if name == "test":
            return self.test_images, self.test_labels
        index = {"train": self.train_index, "validation": self.validation_index}[name]
        return self.train_images[index], self.train_labels[index]

    def few(self, train: int, validation: int, test: int) -> ImageDataset:
        """Return a data set of the first images of each split, at most so many."""
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


_TENSORS = (
    *("train_images", "train_labels", "test_images", "test_labels"),
    *("train_index", "validation_index", "mean", "std"),
)


def save_dataset(path: str | Path, data: ImageDataset, definition: str) -> None:
    """Write the data set, with the digest of its definition in the header."""
    metadata = {"name": data.name, "classes": json.dumps(data.classes), "definition": definition}
    with replacing(path) as temporary:
        save_file({name: getattr(data, name).contiguous() for name in _TENSORS}, temporary, metadata)
        order_metadata(temporary)


def read_task(path: str | Path) -> Task:
    """Return what a network for a prepared data set is built for, without reading its images.

    Raises:
        WinnowError: the file is damaged or is no data set.
    """
    header = safetensors_header(path)
    try:
        _, channels, size, _ = header["train_images"]["shape"]
        return Task(channels, size, len(json.loads(header["__metadata__"]["classes"])))
    except KeyError as error:
        raise WinnowError(f"{path}: not a prepared data set (no {error}); delete it and run again") from error


def load_dataset(path: str | Path) -> ImageDataset:
    """Read what `save_dataset` wrote.

    Raises:
        WinnowError: the file is damaged or is no data set.
    """
    metadata = safetensors_metadata(path)
    try:
        tensors = load_file(path)
        return ImageDataset(
            name=metadata["name"],
            classes=tuple(json.loads(metadata["classes"])),
            **{name: tensors[name] for name in _TENSORS},
        )
    except (SafetensorError, KeyError) as error:
        raise WinnowError(f"{path}: not a prepared data set ({error}); delete it and run again") from error
