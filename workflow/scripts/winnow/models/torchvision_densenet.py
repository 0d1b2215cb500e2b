"""torchvision's DenseNets, with the stem of ImageNet or that for small images."""

from __future__ import annotations

from typing import cast

import torchvision
from torch import nn

from winnow.config.settings import ModelSettings
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    model = getattr(torchvision.models, settings.builtin)(num_classes=task.classes)
    features, width = model.features, model.features.conv0.out_channels
    if settings.stem == "cifar":
        features.conv0 = nn.Conv2d(task.channels, width, 3, padding=1, bias=False)
        features.pool0 = nn.Identity()  # 32x32 images keep 4x4 pixels before the pooling
    elif task.channels != 3:
        features.conv0 = nn.Conv2d(task.channels, width, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(features.conv0.weight)  # as torchvision does
    return cast(nn.Module, model)
