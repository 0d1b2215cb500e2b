"""Normalization in its spellings, of values and of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from networks.parts import WIDTH, Residual, block, head, stem
from networks.record import STAGES, collector, without_channels

NETWORKS, network = collector()


class Standardized(nn.Conv2d):
    """Weight standardization: filters of mean 0 and variance 1 (Big Transfer)."""

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * (variance + 1e-5).rsqrt() * 0.3
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of an image (ConvNeXt)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RootMeanSquare(nn.Module):
    """RMSNorm over the channels, written out."""

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6) * self.gain


class PreActivation(nn.Module):
    """Batch norm and ReLU in front of each convolution."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) for _ in range(2))
        self.layers = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for norm, layer in zip(self.norms, self.layers, strict=True):
            y = layer(functional.relu(norm(y)))
        return x + y


class NearlyZero(nn.Conv2d):
    """Filters that have almost died: biases must not be clipped to what their tiny scale allows."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        with torch.no_grad():
            self.weight[::2] *= 1e-12
            self.bias[::2] = torch.linspace(0.5, 1.5, len(self.bias[::2]))


class ConvNeXtBlock(Residual):
    """Depthwise 7x7, layer norm, MLP of 1x1 linears on channels last."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH),
            torch.nn.Module(),
        )
        self.body = nn.Sequential(self.body[0])
        self.norm, self.rise, self.fall = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.body(x).permute(0, 2, 3, 1))
        return x + self.fall(functional.gelu(self.rise(y))).permute(0, 3, 1, 2)


def _normed(channels: int, classes: int, norm) -> nn.Sequential:
    first = nn.Sequential(nn.Conv2d(channels, WIDTH, 3, 2, 1), norm(), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1), norm(), nn.ReLU())
    return nn.Sequential(first, second, head(classes))


@network(refused=without_channels("normalizes over these channels"))
def group_norm(channels, size, classes):
    """Group norm behind every convolution"""
    return _normed(channels, classes, lambda: nn.GroupNorm(4, WIDTH))


@network()
def instance_norm(channels, size, classes):
    """Instance norm with the statistics of each image"""
    return _normed(channels, classes, lambda: nn.InstanceNorm2d(WIDTH, affine=True))


@network(refused=without_channels("is an instance norm with running statistics"))
def tracked_instance_norm(channels, size, classes):
    """Instance norm with running statistics"""
    return _normed(channels, classes, lambda: nn.InstanceNorm2d(WIDTH, affine=True, track_running_stats=True))


@network(refused=dict.fromkeys(STAGES, "it mixes the images of a batch"))
def batch_norm_without_statistics(channels, size, classes):
    """Batch norm without running statistics: an image's logits depend on its batch"""
    return _normed(channels, classes, lambda: nn.BatchNorm2d(WIDTH, track_running_stats=False))


@network()
def channel_norm(channels, size, classes):
    """Layer norm over the channels of an image"""
    return _normed(channels, classes, lambda: ChannelNorm(WIDTH))


@network()
def rms_norm(channels, size, classes):
    """Root mean square norm written out"""
    return _normed(channels, classes, lambda: RootMeanSquare(WIDTH))


@network()
def local_response_norm(channels, size, classes):
    """Local response norm (AlexNet)"""
    return _normed(channels, classes, lambda: nn.LocalResponseNorm(5))


@network()
def convnext(channels, size, classes):
    """Depthwise 7x7, layer norm, MLP on channels last (ConvNeXt)"""
    patches = nn.Sequential(nn.Conv2d(channels, WIDTH, 2, 2), ChannelNorm(WIDTH))
    return nn.Sequential(patches, ConvNeXtBlock(), head(classes))


@network(
    refused={"masks": "where pruned weights would not be zero"} | without_channels("normalizes over these channels")
)
def weight_standardization(channels, size, classes):
    """Weights standardized when they are used (Big Transfer)"""
    body = nn.Sequential(Standardized(WIDTH, WIDTH, 3, padding=1), nn.GroupNorm(4, WIDTH), nn.ReLU())
    return nn.Sequential(stem(channels), body, head(classes))


@network()
def weight_norm(channels, size, classes):
    """torch's weight_norm parametrization"""
    layer = parametrizations.weight_norm(nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
    return nn.Sequential(stem(channels), layer, nn.ReLU(), head(classes))


@network()
def spectral_norm(channels, size, classes):
    """torch's spectral_norm parametrization"""
    layer = parametrizations.spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
    return nn.Sequential(stem(channels), layer, nn.ReLU(), head(classes))


@network()
def pre_activation(channels, size, classes):
    """Batch norm and ReLU in front of convolutions (ResNet v2)"""
    blocks = (PreActivation(), PreActivation(), nn.BatchNorm2d(WIDTH), nn.ReLU())
    return nn.Sequential(nn.Conv2d(channels, WIDTH, 3, 2, 1, bias=False), *blocks, head(classes))


@network()
def norm_behind_relu(channels, size, classes):
    """Batch norm behind the ReLU"""
    order = lambda inputs, stride: (nn.Conv2d(inputs, WIDTH, 3, stride, 1), nn.ReLU(), nn.BatchNorm2d(WIDTH))
    return nn.Sequential(*order(channels, 2), *order(WIDTH, 1), head(classes))


@network()
def norm_of_images(channels, size, classes):
    """Batch norm of the images themselves"""
    return nn.Sequential(nn.BatchNorm2d(channels), stem(channels), block(WIDTH), head(classes))


@network()
def linear_norm(channels, size, classes):
    """Linear layers with batch norms (MLP of forum posts)"""
    width, pixels = 48, channels * size[0] * size[1]
    layers = (nn.Linear(pixels, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))
    return nn.Sequential(nn.Flatten(), *layers, nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, classes))


@network()
def norm_before_classifier(channels, size, classes):
    """Batch norm on the embedding, classifier without bias (BNNeck)"""
    neck = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(WIDTH), nn.Dropout(0.2))
    return nn.Sequential(stem(channels), block(WIDTH), *neck, nn.Linear(WIDTH, classes, bias=False))


@network()
def norm_without_gain(channels, size, classes):
    """Batch norm without gain and shift, own epsilon"""
    return _normed(channels, classes, lambda: nn.BatchNorm2d(WIDTH, eps=0.1, affine=False))


@network()
def nearly_zero_filters(channels, size, classes):
    """Filters that are nearly zero, with large biases"""
    layer = NearlyZero(WIDTH, WIDTH, 3, padding=1)
    return nn.Sequential(stem(channels), layer, nn.ReLU(), block(WIDTH), head(classes))
