"""Batches of a data split on the device: of images that are there as one tensor, or that are read ahead from the file.

Vectorized augmentation of batches on the device spares the worker processes and the decoding of a DataLoader (idea:
K. Jordan, airbench, 2024).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.ahead import ahead
from winnow.data.dataset import ImageDataset
from winnow.data.normalization import Normalization
from winnow.data.stored import Rows
from winnow.rng import generator

_MOST_IN_MEMORY = 2**30  # bytes of one split
_SHARE_OF_GPU = 0.5  # of the memory that is free
_LARGEST_BATCH = 2**26  # bytes as float32: 500 images of 105 x 105 pixels
_WAITING = 2  # batches that are read ahead


class Normalizer:
    """Turns uint8 [N, C, H, W] into the float32 input of a network, on a device, channels last in memory."""

    def __init__(self, normalization: Normalization, device: torch.device) -> None:
        self._scale, self._shift = (
            torch.from_numpy(numbers)[:, None, None].to(device)
            for numbers in (normalization.scale, normalization.shift)
        )
        self._flipped = normalization.flipped

    def __call__(self, images: Tensor) -> Tensor:
        if self._flipped:
            images = images.flip(1)
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(self._shift, pixels, self._scale)


@dataclass(frozen=True)
class Split:
    """Images and labels of one split, given in batches on one device.

    Attributes:
        images: uint8 [N, C, H, W], as a tensor on the device if they fit there, else where they are stored.
        labels: int64 [N], on the device.
        normalized: makes the network's input of images, on the device.
    """

    images: Rows
    labels: Tensor
    normalized: Normalizer

    @classmethod
    def of(cls, data: ImageDataset, name: str, device: torch.device) -> Split:
        """Open `train`, `validation` or `test` of a data set for a device.

        Its images are put there as a whole if they take at most 1 GiB, or half of the memory that a GPU has free. Which
        of the two changes no result.
        """
        rows, labels = data.rows(name)
        size = torch.Size(rows.shape).numel()
        room = _SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _MOST_IN_MEMORY
        images = rows[:].to(device) if size <= room else rows
        return cls(images, labels.to(device), Normalizer(data.normalization, device))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Tensor:
        """Return images by their positions in the split, int64 [M]: uint8 [M, C, H, W] on the device."""
        device = self.labels.device
        if isinstance(self.images, Tensor):
            return self.images[index.to(device)]
        return self.images[index].to(device)

    def ahead(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield uint8 images and labels of positions, int64 [M] each, on the device; what is stored is read ahead."""
        device = self.labels.device
        if isinstance(self.images, Tensor):
            for index in indices:
                here = index.to(device)
                yield self.images[here], self.labels[here]
            return
        rows = self.images

        def gathered(index: Tensor) -> tuple[Tensor, Tensor]:
            images = rows[index]
            return (images.pin_memory() if device.type == "cuda" else images), index

        for images, index in ahead(gathered, indices, threads=1, waiting=_WAITING):
            yield images.to(device, non_blocking=True), self.labels[index.to(device)]

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalized float32 [N, C, H, W] and labels int64 [N] in stored order.

        N is `size`, or less for large images, and for the last batch.
        """
        most = _LARGEST_BATCH // (4 * torch.Size(self.images.shape[1:]).numel())
        for images, labels in self.ahead(torch.arange(len(self)).split(max(1, min(size, most)))):
            yield self.normalized(images), labels


def training_batches(count: int, size: int) -> list[slice]:
    """Cut `count` samples into the fewest batches of at most `size`, all equal or one sample apart.

    A small batch at the end of every epoch would weigh as much as any other in the running statistics of a batch norm,
    which are then those that the network is scored with: 16 images after 43 batches of 128 cost ResNet-18 some 4 points
    on 5,520 images of CIFAR-10. And of one image a batch norm has no statistics, so that one may lie beyond `size`.
    """
    steps = max(1, min(-(-count // size), count // min(size, 2)))
    return [slice(count * step // steps, count * (step + 1) // steps) for step in range(steps)]


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return a permutation that depends on (seed, epoch) only, so that resuming replays nothing: int64 [count]."""
    return torch.randperm(count, generator=generator(seed, epoch))


def augment(images: Tensor, *, padding: int, flip: bool, random: torch.Generator) -> Tensor:
    """Crop each image at its own offset after zero padding, and mirror half of them.

    Args:
        images: uint8 [N, C, H, W].
        padding: pixels of black on each side before the crop; 0 for none.
        flip: mirror horizontally with probability 1/2.

    Returns:
        uint8 [N, C, H, W].
    """
    count, _, height, width = images.shape
    if padding:
        offsets = torch.randint(0, 2 * padding + 1, (2, count), generator=random).to(images.device)
        windows = functional.pad(images, [padding] * 4).unfold(2, height, 1).unfold(3, width, 1)
        images = windows[torch.arange(count, device=images.device), :, offsets[0], offsets[1]]
    if flip:
        mirrored = (torch.rand(count, generator=random) < 0.5).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    return images
