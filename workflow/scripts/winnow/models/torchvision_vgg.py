"""torchvision's VGG with batch norm in the form for small images."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn

from winnow.config.settings import ModelSettings
from winnow.models.initialization import kaiming
from winnow.study.task import Task


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    features = getattr(torchvision.models, settings.builtin)(num_classes=task.classes).features
    if task.channels != 3:
        features[0] = kaiming(nn.Conv2d(task.channels, 64, 3, padding=1))
    return VggBn(features, task.classes)


class VggBn(nn.Module):
    """torchvision's VGG features with batch norm, global pooling and one linear classifier (the CIFAR form).

    float [N, C, H, W] -> logits [N, classes].
    """

    def __init__(self, features: nn.Module, classes: int) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return logits
