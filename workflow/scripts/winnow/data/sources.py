"""Where images come from: scikit-learn's digits, torchvision's downloads, or the user's own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from winnow.config.settings import DatasetSettings
from winnow.data.image_folder import read_image_folder
from winnow.errors import WinnowError


@dataclass(frozen=True)
class Images:
    """One split: uint8 pixels [N, C, H, W], int64 labels [N] into `classes`."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def read_source(settings: DatasetSettings) -> tuple[Images, Images]:
    """Return the training and the test images of a data set, resized and with the configured channels.

    Raises:
        WinnowError: the source is absent, damaged or unfit.
    """
    if settings.source == "image_folder":
        size, channels = settings.image_size or 32, settings.channels or 3
        splits = read_image_folder(Path(settings.path), size=size, channels=channels)
        return Images(*splits["train"]), Images(*splits["test"])
    train, test = _digits() if settings.source == "digits" else _torchvision(settings)
    return _fitted(train, settings), _fitted(test, settings)


def _digits() -> tuple[Images, Images]:
    """1,797 8x8 digits (UCI), upsampled to 32x32x3; one fifth of each class is the test split."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    gray = torch.from_numpy(bunch.images).float()[:, None] * (255 / 16)
    pixels = functional.interpolate(gray, size=32, mode="bilinear").round().to(torch.uint8).expand(-1, 3, -1, -1)
    train, test = train_test_split(np.arange(len(pixels)), test_size=0.2, stratify=bunch.target, random_state=0)
    labels, names = bunch.target.astype(np.int64), tuple(str(name) for name in bunch.target_names)
    return tuple(Images(pixels.numpy()[index], labels[index], names) for index in (train, test))


_LOADERS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
_MANUAL = {
    "cifar10": "cifar-10-python.tar.gz (MD5 c58f30108f718f92721af3b95e74349a)",
    "cifar100": "cifar-100-python.tar.gz (MD5 eb9058c3a382ffc7106e4002c42a8d85)",
    "mnist": "the four *-ubyte.gz files of MNIST, in MNIST/raw/",
    "fashion_mnist": "the four *-ubyte.gz files of Fashion-MNIST, in FashionMNIST/raw/",
}


def _torchvision(settings: DatasetSettings) -> tuple[Images, Images]:
    import torchvision

    loader = getattr(torchvision.datasets, _LOADERS[settings.source])
    try:  # downloads what is absent and verifies checksums
        splits = [loader(root=settings.path, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise WinnowError(
            f"data set {settings.name}: cannot download {settings.source} ({str(error).splitlines()[0]}); "
            f"without a network, put {_MANUAL[settings.source]} into {settings.path}/ and run again"
        ) from error
    return tuple(
        Images(
            _channels_first(np.asarray(split.data)),
            np.asarray(split.targets, dtype=np.int64),
            tuple(split.classes),
        )
        for split in splits
    )


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels)


def _fitted(images: Images, settings: DatasetSettings) -> Images:
    """Resize to `image_size` and convert to `channels`, where they are configured and differ."""
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
