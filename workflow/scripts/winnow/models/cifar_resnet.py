"""ResNets for 32x32 images (He et al. 2016, section 4.2).

Every forward pass is a plain chain of modules and additions, so that `torch.export` and the int8 quantizer see
convolutions, linears, ReLUs and adds only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.config.settings import ModelSettings
from winnow.study.task import Task

_DEPTHS = {"resnet20": 20, "resnet56": 56}


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build the network of this name with fresh weights."""
    depth = _DEPTHS[settings.builtin]
    return CifarResNet(depth=depth, channels=task.channels, classes=task.classes, shortcut=settings.shortcut)


def _conv_bn(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(channels_out)]


class IdentityShortcut(nn.Module):
    """Option A of He et al. 2016: keep every second pixel and pad the new channels with zeros.

    float [N, C, H, W] -> [N, C', H/2, W/2].
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.padding = (channels_out - channels_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; float [N, C, H, W] -> [N, C', H/stride, W/stride]."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_conv_bn(channels_in, channels_out, stride), nn.ReLU(), *_conv_bn(channels_out, channels_out)
        )
        if stride == 1 and channels_in == channels_out:
            self.shortcut: nn.Module = nn.Identity()
        elif shortcut == "identity":
            self.shortcut = IdentityShortcut(channels_in, channels_out)
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.relu(self.residual(x) + self.shortcut(x))
        return output


class CifarResNet(nn.Module):
    """The 6n+2 layer ResNet for 32x32 images (He et al. 2016, section 4.2): float [N, C, H, W] -> [N, classes].

    Args:
        depth: 20, 32, 44, 56, ...
        shortcut: `identity` (option A, the paper's choice on CIFAR) or `projection` (option B).
    """

    def __init__(self, depth: int, channels: int, classes: int, shortcut: str = "identity") -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        layers: list[nn.Module] = [*_conv_bn(channels, 16), nn.ReLU()]
        width = 16
        for stage in (16, 32, 64):
            for index in range(blocks):
                stride = 2 if index == 0 and stage > 16 else 1
                layers.append(CifarBlock(width, stage, stride, shortcut))
                width = stage
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return logits
