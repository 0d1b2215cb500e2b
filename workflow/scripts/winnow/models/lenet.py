"""The two LeNets of the pruning literature."""

from __future__ import annotations

from torch import nn

from winnow.config.settings import ModelSettings
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    make = {"lenet_300_100": _lenet_300_100, "lenet5": _lenet5}[settings.builtin]
    return make(task.channels, task.size, task.classes)


def _lenet_300_100(channels: int, size: int, classes: int) -> nn.Module:
    """LeNet-300-100: two hidden layers (LeCun et al. 1998, as pruned by Han et al. 2015)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * size * size, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )


def _lenet5(channels: int, size: int, classes: int) -> nn.Module:
    """LeNet-5 in the form the pruning literature uses (20 and 50 5x5 filters, 500 units; Han et al. 2015)."""
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(50 * side * side, 500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )
