"""scikit-learn's embedded digits (UCI)."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional

from winnow.config.settings import DatasetSettings
from winnow.data.images import Held, Images, Source


def open_source(settings: DatasetSettings) -> Source:
    """Return 1,797 digits of 8x8 pixels as uint8 [N, 3, 32, 32], unless other sizes are configured.

    One fifth of each class is the test split.
    """
    bunch = load_digits()
    gray = torch.from_numpy(bunch.images).float()[:, None] * (255 / 16)
    pixels = functional.interpolate(gray, size=32, mode="bilinear").round().to(torch.uint8).expand(-1, 3, -1, -1)
    train, test = train_test_split(np.arange(len(pixels)), test_size=0.2, stratify=bunch.target, random_state=0)
    labels, names = bunch.target.astype(np.int64), tuple(str(name) for name in bunch.target_names)
    first, second = (Images(pixels.numpy()[index], labels[index], names) for index in (train, test))
    return Held(first, second, settings)
