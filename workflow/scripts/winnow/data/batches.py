"""A whole data split as one tensor on the device, cut into augmented batches there.

Vectorized augmentation of a resident tensor spares the worker processes, the decoding and the transfers of a
DataLoader (idea: K. Jordan, airbench, 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.dataset import ImageDataset
from winnow.rng import generator


@dataclass(frozen=True)
class Split:
    """Images and labels on one device.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        mean, std: float32 [C], of pixels scaled to 0..1.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, data: ImageDataset, name: str, device: torch.device) -> Split:
        """Put `train`, `validation` or `test` of a data set on a device."""
        images, labels = data.split(name)
        return cls(*(tensor.to(device) for tensor in (images, labels, data.mean, data.std)))

    def __len__(self) -> int:
        return len(self.labels)

    def normalized(self, images: Tensor) -> Tensor:
        """Turn uint8 [N, C, H, W] into the float32 input of the network, channels last in memory."""
        scale = (1 / (255 * self.std))[:, None, None]
        shift = (-self.mean / self.std)[:, None, None]
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(shift, pixels, scale)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalized float32 [N, C, H, W] and labels int64 [N] in stored order; N is `size` but for the last."""
        for start in range(0, len(self), size):
            yield self.normalized(self.images[start : start + size]), self.labels[start : start + size]


def training_batches(count: int, size: int) -> list[slice]:
    """Cut `count` samples into batches of `size`, the last one smaller, but never a single image after others.

    A batch norm has no statistics of one value for each channel, so one last image joins the batch before it.
    """
    starts = list(range(0, count, size))
    if size > 1 and len(starts) > 1 and count % size == 1:
        del starts[-1]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], count], strict=True)]


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
