"""Data sets that torchvision downloads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torchvision

from winnow.config.settings import DatasetSettings
from winnow.data.images import Held, Images, Source
from winnow.errors import WinnowError

_LOADERS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
_MANUAL = {
    "cifar10": "cifar-10-python.tar.gz (MD5 c58f30108f718f92721af3b95e74349a)",
    "cifar100": "cifar-100-python.tar.gz (MD5 eb9058c3a382ffc7106e4002c42a8d85)",
    "mnist": "the four *-ubyte.gz files of MNIST, in MNIST/raw/",
    "fashion_mnist": "the four *-ubyte.gz files of Fashion-MNIST, in FashionMNIST/raw/",
}


def open_source(settings: DatasetSettings) -> Source:
    """Return the images of a data set, downloaded if it is not there yet.

    Its checksums are verified.

    Raises:
        WinnowError: it cannot be downloaded; says which file to put where.
    """
    loader = getattr(torchvision.datasets, _LOADERS[settings.source])
    try:  # downloads what is absent and verifies checksums
        splits = [loader(root=settings.path, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise WinnowError(
            f"data set {settings.name}: cannot download {settings.source} ({str(error).splitlines()[0]}); "
            f"offline, put {_MANUAL[settings.source]} into {settings.path}/ and run again"
        ) from error
    train, test = map(_images, splits)
    return Held(train, test, settings)


def _images(split: Any) -> Images:
    labels = np.asarray(split.targets, dtype=np.int64)
    return Images(_channels_first(np.asarray(split.data)), labels, tuple(split.classes))


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    """Turn [N, H, W] or [N, H, W, C] into [N, C, H, W]."""
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels)
