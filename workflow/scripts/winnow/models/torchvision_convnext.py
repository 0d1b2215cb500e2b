"""torchvision's ConvNeXts, with the stem of ImageNet or that for small images."""

from __future__ import annotations

from typing import cast

import torchvision
from torch import nn

from winnow.config.settings import ModelSettings
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    model = getattr(torchvision.models, settings.builtin)(num_classes=task.classes)
    stem, width = model.features[0], model.features[0][0].out_channels
    if settings.stem == "cifar":
        stem[0] = nn.Conv2d(task.channels, width, 3, padding=1)  # 32x32 images keep 4x4 pixels before the pooling
    elif task.channels != 3:
        stem[0] = nn.Conv2d(task.channels, width, 4, stride=4)
    nn.init.trunc_normal_(stem[0].weight, std=0.02)  # as torchvision does
    nn.init.zeros_(stem[0].bias)
    return cast(nn.Module, model)
