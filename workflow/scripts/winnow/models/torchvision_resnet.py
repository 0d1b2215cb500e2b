"""torchvision's ResNets, with the stem of ImageNet or that for small images."""

from __future__ import annotations

import torchvision
from torch import nn

from winnow.config.settings import ModelSettings
from winnow.models.initialization import kaiming
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    model: nn.Module = getattr(torchvision.models, settings.builtin)(num_classes=task.classes)
    if settings.stem == "cifar":
        model.conv1 = kaiming(nn.Conv2d(task.channels, 64, 3, padding=1, bias=False))
        model.maxpool = nn.Identity()
    elif task.channels != 3:
        model.conv1 = kaiming(nn.Conv2d(task.channels, 64, 7, stride=2, padding=3, bias=False))
    return model
