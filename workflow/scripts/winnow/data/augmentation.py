"""Augmentation by torchvision's transforms, which draw from torch's global generator: seed it (`rng.seeded`).

Loaded by name, and torchvision with it, where a configuration asks for it. Every image is changed by itself, on the
CPU wherever the images are: a transform gives all images of a batch the same random numbers, and an operation on a
single image is over on a CPU before it has begun on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torchvision.transforms import v2

from winnow.config.settings import TrainingSettings
from winnow.data.dataset import ImageDataset
from winnow.data.training_images import Augmentation
from winnow.study.words import NONE

_HUE = 0.25  # of the change of the other colours, as in SimCLR (Chen et al. 2020)
_POLICIES: dict[str, Callable[[], v2.Transform]] = {
    "randaugment": v2.RandAugment,
    "trivialaugment": v2.TrivialAugmentWide,
}


def augmentation(settings: TrainingSettings, data: ImageDataset) -> Augmentation:
    """Return what a training run asks for.

    Args:
        data: images that are to be augmented, for their size, mean colour and number of classes.
    """
    return _Transforms(list(_of_pixels(settings, data)), list(_of_batch(settings, len(data.classes))))


def _of_pixels(settings: TrainingSettings, data: ImageDataset) -> Iterator[v2.Transform]:
    if settings.resized_crop is not None:
        yield v2.RandomResizedCrop(data.task.shape[1:], scale=(settings.resized_crop, 1.0))
    if settings.policy != NONE:
        yield _POLICIES[settings.policy]()
    if jitter := settings.color_jitter:
        yield v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter, hue=_HUE * jitter)
    if settings.erasing:
        yield v2.RandomErasing(settings.erasing, value=data.normalization.zero)


def _of_batch(settings: TrainingSettings, classes: int) -> Iterator[v2.Transform]:
    if settings.mixup:
        yield v2.MixUp(alpha=settings.mixup, num_classes=classes)
    if settings.cutmix:
        yield v2.CutMix(alpha=settings.cutmix, num_classes=classes)


class _Transforms(Augmentation):
    """Transforms of single images, one after the other, and those of batches, one of them at a time."""

    def __init__(self, of_pixels: list[v2.Transform], of_batch: list[v2.Transform]) -> None:
        self._of_pixels, self._of_batch = of_pixels, of_batch

    def of_pixels(self, images: Tensor) -> Tensor:
        if not self._of_pixels:
            return images
        change = v2.Compose(self._of_pixels)
        return torch.stack([change(image) for image in images.cpu()]).to(images.device)

    def of_batch(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if not self._of_batch:
            return inputs, labels
        mix = self._of_batch[int(torch.randint(len(self._of_batch), ()))]
        mixed, targets = mix(inputs, labels)
        return mixed.contiguous(memory_format=torch.channels_last), targets
