"""Data sets as one safetensors file: uint8 images, labels, splits, class names, channel statistics."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from winnow.errors import WinnowError
from winnow.files import replacing, safetensors_metadata
from winnow.settings import DatasetSettings
from winnow.sources import Images, read_source


@dataclass(frozen=True)
class ImageDataset:
    """A prepared data set.

    Attributes:
        train_images, test_images: uint8 [N, C, H, W], H = W.
        train_labels, test_labels: int64 [N].
        train_index, validation_index: int64, disjoint, together all of the training images.
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
    def channels(self) -> int:
        return self.train_images.shape[1]

    @property
    def size(self) -> int:
        return self.train_images.shape[2]

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Return (images, labels) of `train`, `validation` or `test`."""
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


def prepare(settings: DatasetSettings) -> ImageDataset:
    """Read a data set from its source, limit it and split it.

    The validation split is stratified, and `max_train_samples` / `max_test_samples` are class-balanced; both
    are functions of `split_seed`.

    Raises:
        WinnowError: an unreadable or unfit source, or a class too small to be split.
    """
    train, test = read_source(settings)
    generator = np.random.default_rng(settings.split_seed)
    train = _balanced(train, settings.max_train_samples, generator)
    test = _balanced(test, settings.max_test_samples, generator)
    train_index, validation_index = _stratified(train, settings, generator)
    mean, std = _channel_statistics(train.pixels[train_index])
    return ImageDataset(
        name=settings.name,
        classes=train.classes,
        train_images=torch.from_numpy(train.pixels),
        train_labels=torch.from_numpy(train.labels),
        test_images=torch.from_numpy(test.pixels),
        test_labels=torch.from_numpy(test.labels),
        train_index=torch.from_numpy(train_index),
        validation_index=torch.from_numpy(validation_index),
        mean=mean,
        std=std,
    )


def _balanced(images: Images, limit: int | None, generator: np.random.Generator) -> Images:
    """Keep at most `limit` images, as many of each class as possible, in their order."""
    if limit is None or limit >= len(images.labels):
        return images
    if limit < len(images.classes):
        raise WinnowError(
            f"data set: a limit of {limit} samples is below one for each of {len(images.classes)} classes"
        )
    members = [generator.permutation(np.flatnonzero(images.labels == label)) for label in range(len(images.classes))]
    quota, left = np.zeros(len(members), dtype=int), limit
    while left:  # small classes give what they have, the others share the rest
        open_classes = [k for k in range(len(members)) if quota[k] < len(members[k])]
        for k in open_classes[:left]:
            quota[k] += 1
        left -= min(left, len(open_classes))
    kept = np.sort(np.concatenate([m[:q] for m, q in zip(members, quota, strict=True)]))
    return replace(images, pixels=images.pixels[kept], labels=images.labels[kept])


def _stratified(
    images: Images, settings: DatasetSettings, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    train, validation = [], []
    for label, name in enumerate(images.classes):
        members = generator.permutation(np.flatnonzero(images.labels == label))
        count = max(1, round(settings.validation_fraction * len(members)))
        if count >= len(members):
            raise WinnowError(
                f"data set {settings.name}: class {name!r} has {len(members)} training images, "
                "too few to set a validation split aside; add images"
            )
        validation.append(members[:count])
        train.append(members[count:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(validation))


def _channel_statistics(pixels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Exact mean and standard deviation per channel, from the histogram of the 256 values."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(pixels.shape[1]):
        counts = np.bincount(pixels[:, channel].ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        means.append(mean)
        deviations.append(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
    std = torch.tensor(deviations, dtype=torch.float32)
    return torch.tensor(means, dtype=torch.float32), std.clamp(min=1e-3)  # a constant channel stays finite


_TENSORS = (
    *("train_images", "train_labels", "test_images", "test_labels"),
    *("train_index", "validation_index", "mean", "std"),
)


def save_dataset(path: str | Path, data: ImageDataset, definition: str) -> None:
    """Write the data set, with the digest of its definition in the header."""
    metadata = {"name": data.name, "classes": json.dumps(data.classes), "definition": definition}
    with replacing(path) as temporary:
        save_file({name: getattr(data, name).contiguous() for name in _TENSORS}, temporary, metadata)


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
