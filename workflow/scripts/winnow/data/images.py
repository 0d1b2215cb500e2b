"""The images of one split, as every source gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from winnow.config.settings import DatasetSettings


@dataclass(frozen=True)
class Images:
    """One split: uint8 pixels [N, C, H, W], int64 labels [N] into `classes`."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def fitted(images: Images, settings: DatasetSettings) -> Images:
    """Resize to `image_size` and convert to `channels`, where they are configured and differ.

    Returns:
        With uint8 pixels [N, channels, image_size, image_size].
    """
    pixels = torch.from_numpy(images.pixels)
    if settings.image_size and settings.image_size != pixels.shape[-1]:
        size = (settings.image_size, settings.image_size)
        chunks = [
            functional.interpolate(chunk, size=size, mode="bilinear", antialias=True) for chunk in pixels.split(4096)
        ]
        pixels = torch.cat(chunks)
    if settings.channels == 3 and pixels.shape[1] == 1:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif settings.channels == 1 and pixels.shape[1] == 3:
        weights = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma, as Pillow's mode L
        chunks = [(chunk.float() * weights[:, None, None]).sum(1, keepdim=True).round() for chunk in pixels.split(4096)]
        pixels = torch.cat(chunks).to(torch.uint8)
    return Images(pixels.contiguous().numpy(), images.labels, images.classes)
