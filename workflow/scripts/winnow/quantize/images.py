"""The images that quantization learns from, and is tried on, in batches."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.rng import generator

_BATCH = 64


def check_calibration(data: ImageDataset, count: int) -> None:
    """Refuse to calibrate on more images than there are.

    Raises:
        WinnowError: the training split has fewer.
    """
    if count > len(data.train_index):
        raise WinnowError(
            f"data set {data.name}: quantization.ptq.calibration_samples is {count}, "
            f"but the training split has {len(data.train_index)} images; lower it"
        )


def calibration_batches(data: ImageDataset, count: int) -> Iterator[Tensor]:
    """Draw `count` images from the training split, without augmentation.

    Yields:
        Normalized float32 [N, C, H, W].

    Raises:
        WinnowError: the split has fewer.
    """
    check_calibration(data, count)
    split = Split.of(data, "train", torch.device("cpu"))
    chosen = torch.randperm(len(split), generator=generator(0))[:count]
    for index in chosen.split(_BATCH):
        yield split.normalized(split.take(index)).contiguous()


def validation_batches(data: ImageDataset) -> list[tuple[Tensor, Tensor]]:
    """Return the validation split: normalized float32 [N, C, H, W] and labels int64 [N]."""
    return list(Split.of(data, "validation", torch.device("cpu")).batches(_BATCH))
