"""torchvision's EfficientNet-B0, with the stem of ImageNet or that for small images."""

from __future__ import annotations

from typing import cast

import torchvision
from torch import nn

from winnow.config.settings import ModelSettings
from winnow.models.initialization import kaiming
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    model = getattr(torchvision.models, settings.builtin)(num_classes=task.classes)
    first, stride = model.features[0][0], 1 if settings.stem == "cifar" else 2
    if stride == 1 or task.channels != 3:
        width = first.out_channels
        model.features[0][0] = kaiming(nn.Conv2d(task.channels, width, 3, stride=stride, padding=1, bias=False))
    if stride == 1:
        model.features[2][0].block[1][0].stride = (1, 1)  # 32x32 images keep 4x4 pixels before the pooling
    return cast(nn.Module, model)
