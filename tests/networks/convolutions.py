"""Convolutions, padding, pooling and the moving of pixels."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from networks.parts import WIDTH, Applied, block, head, stem
from networks.record import STAGES, collector, without_channels

NETWORKS, network = collector()


class Rows(nn.Module):
    """Each row of the image is a time step."""

    def __init__(self, channels: int, size: tuple[int, int], classes: int):
        super().__init__()
        layer = lambda inputs: (nn.Conv1d(inputs, WIDTH, 3, padding=1), nn.BatchNorm1d(WIDTH), nn.ReLU())
        self.body = nn.Sequential(*layer(channels * size[1]), nn.MaxPool1d(2), *layer(WIDTH))
        self.classifier = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.body(x.transpose(2, 3).flatten(1, 2)).mean(-1))


class Deformable(nn.Module):
    """A convolution whose places are computed."""

    def __init__(self):
        super().__init__()
        self.offsets = nn.Conv2d(WIDTH, 18, 3, padding=1)
        self.layer = torchvision.ops.DeformConv2d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.layer(x, self.offsets(x)))


class Split(nn.Module):
    """ShuffleNetV2's unit: half of the channels pass, then all are shuffled."""

    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        self.branch = nn.Sequential(block(half, half, 1), block(half, half, groups=half, activation=nn.Identity))

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        x = torch.cat((left, self.branch(right)), 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class PaddedShortcut(nn.Module):
    """Every second pixel, with channels of zeros (ResNet, option A)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            block(WIDTH, 2 * WIDTH, stride=2), nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, 1, 1), nn.BatchNorm2d(2 * WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, WIDTH // 2, WIDTH // 2))
        return functional.relu(shortcut + self.body(x))


class Inception(nn.Module):
    """Branches of different kernels, concatenated."""

    def __init__(self):
        super().__init__()
        pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1), block(WIDTH, 8, 1))
        self.branches = nn.ModuleList((block(WIDTH, 8, 1), block(WIDTH, 8, 3), pooled))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class TwoSizes(nn.Module):
    """A coarse map is enlarged and added to a fine one (FPN)."""

    def __init__(self, mode: str):
        super().__init__()
        self.mode, self.down, self.side, self.smooth = (
            mode,
            block(WIDTH, stride=2),
            block(WIDTH, kernel=1),
            block(WIDTH),
        )

    def forward(self, x: Tensor) -> Tensor:
        small = functional.interpolate(self.down(x), scale_factor=2, mode=self.mode)
        return self.smooth(small + self.side(x))


class Spectrum(nn.Module):
    """FNet's mixing: the real part of a Fourier transform over the places."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.fft.fft2(x).real / (x.shape[2] * x.shape[3])


def _around(channels: int, classes: int, *body: nn.Module, width: int = WIDTH) -> nn.Sequential:
    return nn.Sequential(stem(channels), *body, head(classes, width))


@network()
def depthwise_separable(channels, size, classes):
    """Depthwise and pointwise convolutions with ReLU6 (MobileNetV1)"""
    return _around(
        channels, classes, block(WIDTH, groups=WIDTH, activation=nn.ReLU6), block(WIDTH, kernel=1, activation=nn.ReLU6)
    )


@network()
def grouped(channels, size, classes):
    """Grouped convolution (ResNeXt)"""
    return _around(channels, classes, block(WIDTH, groups=4), block(WIDTH))


@network(refused=without_channels("a reshape mixes them with more channels than any layer has"))
def channel_shuffle(channels, size, classes):
    """Channels split, concatenated and shuffled by reshapes (ShuffleNetV2)"""
    return _around(channels, classes, Split(WIDTH), Split(WIDTH))


@network(refused=without_channels("channels are those of a grouped convolution"))
def shuffle_module(channels, size, classes):
    """Grouped convolutions and nn.ChannelShuffle (ShuffleNetV1)"""
    return _around(channels, classes, block(WIDTH, groups=4), nn.ChannelShuffle(4), block(WIDTH, groups=4))


@network()
def dilated(channels, size, classes):
    """Dilated convolutions"""
    return _around(
        channels, classes, block(WIDTH, dilation=2, padding=2), block(WIDTH, dilation=(1, 3), padding=(1, 3))
    )


@network()
def asymmetric_padding(channels, size, classes):
    """nn.ZeroPad2d with other sides than a convolution can pad (TensorFlow's weights)"""
    return _around(channels, classes, nn.ZeroPad2d((0, 1, 0, 1)), block(WIDTH, stride=2, padding=0), block(WIDTH))


@network()
def same_padding_even_kernel(channels, size, classes):
    """padding="same" with kernels of 4 and 3"""
    layer = nn.Conv2d(channels, WIDTH, 4, padding="same")
    return nn.Sequential(layer, nn.BatchNorm2d(WIDTH), nn.ReLU(), block(WIDTH, padding="same"), head(classes))


@network()
def reflect_padding(channels, size, classes):
    """padding_mode="reflect" """
    return _around(channels, classes, block(WIDTH, padding_mode="reflect"), block(WIDTH, padding_mode="replicate"))


@network()
def circular_padding(channels, size, classes):
    """padding_mode="circular" """
    return _around(channels, classes, block(WIDTH, padding_mode="circular"), block(WIDTH))


@network()
def strips(channels, size, classes):
    """1x7 and 7x1 kernels (Inception v3)"""
    return _around(channels, classes, block(WIDTH, kernel=(1, 7)), block(WIDTH, kernel=(7, 1)))


@network()
def rows_conv1d(channels, size, classes):
    """1-D convolutions along the rows of the image"""
    return Rows(channels, size, classes)


@network()
def conv3d(channels, size, classes):
    """3-D convolutions over the colour channels as depth"""
    layer = lambda inputs: (nn.Conv3d(inputs, 8, 3, (1, 2, 2), 1), nn.BatchNorm3d(8), nn.ReLU())
    last = (nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, classes))
    return nn.Sequential(Applied(lambda x: x.unsqueeze(1)), *layer(1), *layer(8), *last)


@network(integer=0.401, reason="transposed convolutions")
def transposed(channels, size, classes):
    """Encoder, transposed convolution, classifier"""
    return _around(channels, classes, nn.ConvTranspose2d(WIDTH, WIDTH, 4, 2, 1), nn.ReLU(), block(WIDTH, stride=2))


@network()
def upsampled(channels, size, classes):
    """Nearest-neighbour upsampling and a convolution"""
    return _around(channels, classes, TwoSizes("nearest"))


@network()
def bilinear(channels, size, classes):
    """Bilinear upsampling added to a finer map (FPN)"""
    return _around(channels, classes, TwoSizes("bilinear"))


@network()
def pixel_shuffle(channels, size, classes):
    """Convolution and PixelShuffle (super-resolution)"""
    return _around(channels, classes, block(WIDTH, 4 * WIDTH), nn.PixelShuffle(2), block(WIDTH, stride=2))


@network()
def pixel_unshuffle(channels, size, classes):
    """PixelUnshuffle in front (space to depth)"""
    return nn.Sequential(nn.PixelUnshuffle(2), block(4 * channels), block(WIDTH), head(classes))


@network()
def padded_shortcut(channels, size, classes):
    """Shortcuts of every second pixel, padded with channels of zeros (CIFAR ResNet, option A)"""
    return _around(channels, classes, PaddedShortcut(), width=2 * WIDTH)


@network()
def max_pool_ceil(channels, size, classes):
    """Max pooling with ceil_mode, a map of odd size"""
    return _around(
        channels, classes, nn.MaxPool2d(3, 2, ceil_mode=True), block(WIDTH, padding=0), nn.MaxPool2d(2, ceil_mode=True)
    )


@network()
def average_pool_padding(channels, size, classes):
    """Average pooling that does not count its padding (Inception)"""
    return _around(channels, classes, nn.AvgPool2d(3, 2, 1, count_include_pad=False), block(WIDTH), nn.AvgPool2d(2))


@network()
def adaptive_pool(channels, size, classes):
    """Adaptive average pooling to 2x2 and a linear on all of it"""
    return nn.Sequential(
        stem(channels), block(WIDTH), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * WIDTH, classes)
    )


@network()
def global_max_pool(channels, size, classes):
    """Global max pooling"""
    last = (nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(WIDTH, classes))
    return nn.Sequential(stem(channels), block(WIDTH), *last)


@network()
def squeezed_head(channels, size, classes):
    """The classifier is a 1x1 convolution and a global mean (SqueezeNet)"""
    last = (nn.Dropout(0.2), nn.Conv2d(WIDTH, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(stem(channels), block(WIDTH), *last)


@network()
def inception(channels, size, classes):
    """Concatenated branches, one of them pooled (Inception)"""
    return _around(channels, classes, Inception(), width=24)


@network(refused=dict.fromkeys(STAGES, "OpenVINO cannot load it") | without_channels("no layer can lose channels"))
def deformable(channels, size, classes):
    """torchvision's DeformConv2d"""
    return _around(channels, classes, Deformable())


@network(refused=dict.fromkeys(STAGES, "ONNX Runtime and OpenVINO differ by"))
def fourier(channels, size, classes):
    """A Fourier transform mixes the places (FNet)"""
    return _around(channels, classes, Spectrum(), block(WIDTH))
