"""The two LeNets of the pruning literature."""

from __future__ import annotations

import math

from torch import nn

from winnow.config.settings import ModelSettings
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    make = {"lenet_300_100": _lenet_300_100, "lenet5": _lenet5}[settings.builtin]
    return make(task.shape, task.classes)


def _lenet_300_100(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """LeNet-300-100: two hidden layers (LeCun et al. 1998, as pruned by Han et al. 2015)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )


def _lenet5(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """LeNet-5 in the form the pruning literature uses (20 and 50 5x5 filters, 500 units; Han et al. 2015)."""
    channels, *sides = shape
    height, width = (((side - 4) // 2 - 4) // 2 for side in sides)
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(50 * height * width, 500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )
