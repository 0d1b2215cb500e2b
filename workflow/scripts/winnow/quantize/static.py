"""Post-training static quantization: ranges observed on calibration images (Krishnamoorthi 2018, Nagel et al. 2021)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.quantize.calibration import Calibration
from winnow.rng import generator
from winnow.study.recipe import Recipe

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


def quantize_static(
    model: nn.Module, batches: Iterable[Tensor], recipe: Recipe, spared: Collection[str] = ()
) -> GraphModule:
    """Return an int8 module whose ranges were observed on calibration batches.

    Args:
        model: fp32; it is not changed.
        batches: normalized float32 [N, C, H, W], at least one, the first of at least 2 images.
        recipe: how finely, in which ranges and in which way it is rounded.
        spared: layers that stay in float, by their names: what `keep_float` comes to, see `mixed`.

    Raises:
        WinnowError: there is no layer of a name.
    """
    return Calibration(model, batches, recipe, sparing=bool(spared)).quantized(spared)
