"""From a source of images to a prepared data set: limited, split, with the statistics of its channels."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from winnow.config.settings import DatasetSettings
from winnow.data.dataset import ImageDataset
from winnow.data.images import Images
from winnow.data.sources import read_source
from winnow.errors import WinnowError

_LOG = logging.getLogger(__name__)


def prepare(settings: DatasetSettings) -> ImageDataset:
    """Read a data set from its source, limit it and split it; log what is used of every class.

    The validation split is stratified, and `max_train_samples` / `max_test_samples` are class-balanced; both
    are functions of `split_seed`.

    Raises:
        WinnowError: an unreadable or unfit source, or a class too small to be split.
    """
    all_train, all_test = read_source(settings)
    generator = np.random.default_rng(settings.split_seed)
    train = _balanced(all_train, settings, "max_train_samples", generator)
    test = _balanced(all_test, settings, "max_test_samples", generator)
    train_index, validation_index = _stratified(train, settings, generator)
    found, used = (all_train.labels, all_test.labels), (train.labels[train_index], train.labels[validation_index])
    _report(train.classes, *found, *used, test.labels)
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


def _balanced(images: Images, settings: DatasetSettings, key: str, generator: np.random.Generator) -> Images:
    """Keep at most as many images as a key says, as many of each class as possible, in their order."""
    limit: int | None = getattr(settings, key)
    if limit is None or limit >= len(images.labels):
        return images
    if limit < len(images.classes):
        raise WinnowError(
            f"data set {settings.name}: {key} {limit} is below one image for each of {len(images.classes)} classes; "
            "raise it"
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
    """Draw the same share of each class: int64 [N] positions of training images, and of those for validation."""
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


def _report(classes: tuple[str, ...], *labels: np.ndarray) -> None:
    """Log how many images of every class were found, and how many are used for what."""
    counts = [np.bincount(of_split, minlength=len(classes)) for of_split in labels]
    text = "class %s: %d training and %d test images found; used: %d to train, %d to validate, %d to test"
    for label, name in enumerate(classes):
        _LOG.info(text, name, *(count[label] for count in counts))


def _channel_statistics(pixels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the exact mean and standard deviation of each channel of uint8 [N, C, H, W], scaled to 0..1: float32 [C].

    They come from the histogram of the 256 values.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(pixels.shape[1]):
        counts = np.bincount(pixels[:, channel].ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        means.append(mean)
        deviations.append(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
    std = torch.tensor(deviations, dtype=torch.float32)
    return torch.tensor(means, dtype=torch.float32), std.clamp(min=1e-3)  # a constant channel stays finite
