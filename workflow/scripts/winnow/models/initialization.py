"""Fresh weights of layers that replace torchvision's own."""

from __future__ import annotations

from torch import nn


def kaiming(convolution: nn.Conv2d) -> nn.Conv2d:
    """Draw weights as torchvision does for its ResNets (He et al. 2015, fan-out), bias zero; in place."""
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
