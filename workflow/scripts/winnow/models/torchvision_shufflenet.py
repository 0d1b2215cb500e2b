"""torchvision's ShuffleNetV2, with the stem of ImageNet or that for small images."""

from __future__ import annotations

from typing import cast

import torchvision
from torch import nn

from winnow.config.settings import ModelSettings
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights; torchvision leaves them as torch draws them."""
    model = getattr(torchvision.models, settings.builtin)(num_classes=task.classes)
    first, stride = model.conv1[0], 1 if settings.stem == "cifar" else 2
    if stride == 1 or task.channels != 3:
        model.conv1[0] = nn.Conv2d(task.channels, first.out_channels, 3, stride=stride, padding=1, bias=False)
    if stride == 1:
        model.maxpool = nn.Identity()  # 32x32 images keep 4x4 pixels before the pooling
    return cast(nn.Module, model)
