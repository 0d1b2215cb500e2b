"""Gates and activations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.parts import WIDTH, MeanHead, Patches, Residual, block, head, stem
from networks.record import collector

NETWORKS, network = collector()


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate that reads their means."""

    def __init__(self, width: int, activation=nn.ReLU, gate=nn.Sigmoid):
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)
        self.activation, self.gate = activation(), gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(self.activation(self.down(x.mean((2, 3), keepdim=True)))))


class ChannelAttention(nn.Module):
    """A convolution along the channels' means (ECA)."""

    def __init__(self):
        super().__init__()
        self.along = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.along(x.mean((2, 3)).unsqueeze(1)).squeeze(1).sigmoid()
        return x * gate[:, :, None, None]


class SpatialAttention(nn.Module):
    """Places weighted by mean and maximum over the channels (CBAM)."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.look(torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)).sigmoid()


class GatedMlp(nn.Module):
    """Half of the hidden features gates the other half (SwiGLU)."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.norm, self.rise, self.fall = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.rise(self.norm(x)).chunk(2, -1)
        return x + self.fall(functional.silu(gate) * value)


class Highway(nn.Module):
    """A scalar parameter, through a sigmoid, mixes two ways."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.gate = block(WIDTH), block(WIDTH), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        share = self.gate.sigmoid()
        return share * self.one(x) + (1 - share) * self.two(x)


class LayerScale(nn.Module):
    def __init__(self, width: int, start: float):
        super().__init__()
        self.gain = nn.Parameter(torch.full((width, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class SelectiveKernel(nn.Module):
    """Softmax over two branches, by channel."""

    def __init__(self):
        super().__init__()
        self.small, self.large = block(WIDTH), block(WIDTH, kernel=5)
        self.choose = nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.stack((self.small(x), self.large(x)), 1)
        share = self.choose(both.sum(1).mean((2, 3))).view(-1, 2, WIDTH, 1, 1).softmax(1)
        return (both * share).sum(1)


class Concatenated(nn.Module):
    """ReLU of a convolution and of its negative."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), block(2 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(torch.cat((functional.relu(x), functional.relu(-x)), 1))


def _inverted(activation, gate) -> Residual:
    """MobileNetV3's block."""
    wide = 2 * WIDTH
    return Residual(
        block(WIDTH, wide, 1, activation=activation),
        block(wide, wide, 3, activation=activation, groups=wide),
        SqueezeExcite(wide, nn.ReLU, gate),
        nn.Conv2d(wide, WIDTH, 1, bias=False),
        nn.BatchNorm2d(WIDTH),
    )


def _activated(channels: int, classes: int, activation) -> nn.Sequential:
    blocks = (block(WIDTH, activation=activation), block(WIDTH, activation=activation))
    return nn.Sequential(block(channels, stride=2, activation=activation), *blocks, head(classes))


@network()
def squeeze_excite(channels, size, classes):
    """Squeeze and excite with a sigmoid (SE-ResNet)"""
    return nn.Sequential(stem(channels), Residual(block(WIDTH), SqueezeExcite(WIDTH)), nn.ReLU(), head(classes))


@network()
def mobilenet_v3(channels, size, classes):
    """Hard-swish, depthwise convolution, squeeze and excite with a hard sigmoid (MobileNetV3)"""
    return nn.Sequential(stem(channels), _inverted(nn.Hardswish, nn.Hardsigmoid), head(classes))


@network()
def efficientnet(channels, size, classes):
    """SiLU, depthwise convolution, squeeze and excite (EfficientNet)"""
    return nn.Sequential(stem(channels), _inverted(nn.SiLU, nn.Sigmoid), head(classes))


@network()
def channel_attention(channels, size, classes):
    """A 1-D convolution along the channels gates them (ECA)"""
    return nn.Sequential(stem(channels), block(WIDTH), ChannelAttention(), block(WIDTH), head(classes))


@network()
def spatial_attention(channels, size, classes):
    """A map of mean and maximum over the channels gates the places (CBAM)"""
    return nn.Sequential(stem(channels), block(WIDTH), SpatialAttention(), block(WIDTH), head(classes))


@network()
def glu(channels, size, classes):
    """nn.GLU over the channels of a convolution"""
    gated = nn.Sequential(nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1), nn.GLU(1))
    return nn.Sequential(stem(channels), gated, block(WIDTH), head(classes))


@network()
def gated_mlp(channels, size, classes):
    """Gated MLP with SiLU (SwiGLU)"""
    return nn.Sequential(Patches(channels), GatedMlp(), MeanHead(classes))


@network()
def scalar_gate(channels, size, classes):
    """A scalar parameter mixes two branches"""
    return nn.Sequential(stem(channels), Highway(), head(classes))


@network()
def layer_scale(channels, size, classes):
    """Residual branches scaled by a learned vector (CaiT, ConvNeXt)"""
    branches = (Residual(block(WIDTH), nn.Conv2d(WIDTH, WIDTH, 1), LayerScale(WIDTH, 0.3)) for _ in range(2))
    return nn.Sequential(stem(channels), *branches, head(classes))


@network()
def selective_kernel(channels, size, classes):
    """Softmax between two branches (SKNet)"""
    return nn.Sequential(stem(channels), SelectiveKernel(), block(WIDTH), head(classes))


@network()
def concatenated_relu(channels, size, classes):
    """ReLU of a value and of its negative, concatenated (CReLU)"""
    return nn.Sequential(stem(channels), Concatenated(), head(classes))


@network()
def prelu_shared(channels, size, classes):
    """PReLU with one slope"""
    return _activated(channels, classes, nn.PReLU)


@network()
def prelu_channels(channels, size, classes):
    """PReLU with a slope for each channel"""
    return _activated(channels, classes, lambda: nn.PReLU(WIDTH, 0.1))


@network()
def leaky_relu(channels, size, classes):
    """Leaky ReLU, in place (DarkNet)"""
    return _activated(channels, classes, lambda: nn.LeakyReLU(0.1, inplace=True))


@network()
def mish(channels, size, classes):
    """Mish behind every convolution (YOLOv4)"""
    return _activated(channels, classes, nn.Mish)


@network()
def gelu_convolutions(channels, size, classes):
    """GELU behind every convolution"""
    return _activated(channels, classes, nn.GELU)


@network()
def elu(channels, size, classes):
    """ELU behind every convolution"""
    return _activated(channels, classes, nn.ELU)


@network()
def hardtanh(channels, size, classes):
    """Hard tanh, which clips on both sides of zero"""
    return _activated(channels, classes, nn.Hardtanh)


@network()
def clipped(channels, size, classes):
    """clamp(0, 4) as an activation"""
    return _activated(channels, classes, lambda: nn.Hardtanh(0.0, 4.0))
