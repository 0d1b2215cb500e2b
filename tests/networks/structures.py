"""Shared weights, products, recurrence, and unusual images and classes."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from networks.parts import WIDTH, Applied, MeanHead, Patches, Residual, block, head, stem
from networks.record import collector, without_channels

NETWORKS, network = collector()


class Repeated(nn.Module):
    """One block, applied three times."""

    def __init__(self):
        super().__init__()
        self.step = block(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.step(x)
        return x


class Recurrent(nn.Module):
    """One convolution, applied three times, each with its own batch norm."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            x = functional.relu(norm(self.shared(x)))
        return x


class Siamese(nn.Module):
    """Two modules that hold one Parameter."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1), nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.two(functional.relu(self.one(x))))


class Autoencoder(nn.Module):
    """A linear and its transpose."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.body, self.encode, self.classifier = stem(channels), nn.Linear(WIDTH, 24), nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        code = functional.relu(self.encode(self.body(x).mean((2, 3))))
        return self.classifier(functional.linear(code, self.encode.weight.t()))


class Dense(nn.Module):
    """DenseNet's block: each layer reads everything before it."""

    def __init__(self, growth: int = 8, layers: int = 3):
        super().__init__()
        widths = [WIDTH + growth * place for place in range(layers)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, 1, 1, bias=False))
            for width in widths
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat((x, layer(x)), 1)
        return x


class RowsLstm(nn.Module):
    def __init__(self, channels: int, size: tuple[int, int], classes: int, kind=nn.LSTM):
        super().__init__()
        self.recurrent = kind(channels * size[1], 24, batch_first=True)
        self.classifier = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.recurrent(x.transpose(1, 2).flatten(2))[0][:, -1])


class Einsum(nn.Module):
    """A linear written as einsum."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width) * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.relu(torch.einsum("npi,io->npo", x, self.weight))


class BareProduct(nn.Module):
    """x @ weight + bias with bare parameters."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(width, classes) * 0.3), nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class Cosine(nn.Module):
    """Scaled cosine between features and prototypes (few-shot, ArcFace)."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, width))

    def forward(self, x: Tensor) -> Tensor:
        return 8 * functional.linear(functional.normalize(x), functional.normalize(self.weight))


class Mixture(nn.Module):
    """A convolution whose weights are mixed for each image (CondConv)."""

    def __init__(self, experts: int = 3):
        super().__init__()
        self.route = nn.Linear(WIDTH, experts)
        self.weight = nn.Parameter(torch.randn(experts, WIDTH * WIDTH) * 0.2)

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.route(x.mean((2, 3))).softmax(-1) @ self.weight).view(-1, WIDTH, WIDTH)
        return functional.relu(torch.bmm(weights, x.flatten(2)).view_as(x))


class OwnInit(nn.Module):
    """Initial weights from numpy's and Python's generators."""

    def __init__(self, channels: int):
        super().__init__()
        self.layer = nn.Conv2d(channels, WIDTH, 3, 2, 1)
        values = np.random.normal(0, 0.2, tuple(self.layer.weight.shape))
        self.layer.weight.data = torch.tensor(values, dtype=torch.float32)
        nn.init.constant_(self.layer.bias, random.random() / 10)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.layer(x))


@network()
def repeated_block(channels, size, classes):
    """One block applied three times, batch norm included"""
    return nn.Sequential(stem(channels), Repeated(), head(classes))


@network()
def recurrent_norms(channels, size, classes):
    """One convolution applied three times, each with a batch norm of its own"""
    return nn.Sequential(stem(channels), Recurrent(), head(classes))


@network(refused=without_channels("1.two shares its parameters with another layer"))
def siamese(channels, size, classes):
    """Two convolutions that hold one Parameter"""
    return nn.Sequential(stem(channels), Siamese(), head(classes))


@network()
def tied_linear(channels, size, classes):
    """A linear and its transpose (tied autoencoder)"""
    return Autoencoder(channels, classes)


@network()
def dense_block(channels, size, classes):
    """Concatenation of everything before (DenseNet)"""
    last = (nn.BatchNorm2d(40), nn.ReLU(), head(classes, 40))
    return nn.Sequential(nn.Conv2d(channels, WIDTH, 3, 2, 1, bias=False), Dense(), *last)


@network(integer=0.001, reason="recurrent layers", refused=without_channels("no layer can lose channels"))
def rows_lstm(channels, size, classes):
    """LSTM over the rows of the image"""
    return RowsLstm(channels, size, classes)


@network(refused=without_channels("normalizes over these channels"))
def einsum(channels, size, classes):
    """A product with a parameter, written as einsum"""
    return nn.Sequential(Patches(channels), Einsum(), MeanHead(classes))


@network()
def bare_parameter(channels, size, classes):
    """x @ weight + bias with bare parameters as the classifier"""
    return nn.Sequential(stem(channels), nn.AdaptiveAvgPool2d(1), nn.Flatten(), BareProduct(WIDTH, classes))


@network()
def cosine_classifier(channels, size, classes):
    """A classifier of normalized features and weights (ArcFace)"""
    return nn.Sequential(stem(channels), block(WIDTH), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Cosine(WIDTH, classes))


@network(integer=0.915, reason="products of two activations")
def conditional_convolution(channels, size, classes):
    """Weights mixed for each image (CondConv)"""
    return nn.Sequential(stem(channels), Mixture(), block(WIDTH), head(classes))


@network(refused={"masks": "is pruned already, by a mask of its own"} | without_channels("no layer can lose channels"))
def pruned_before(channels, size, classes):
    """A network that torch.nn.utils.prune has pruned already"""
    layer = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)
    prune.l1_unstructured(layer, "weight", amount=0.5)
    return nn.Sequential(stem(channels), layer, nn.ReLU(), head(classes))


@network()
def lazy_modules(channels, size, classes):
    """Lazy modules that take their widths from the first images"""
    body = (nn.LazyConv2d(WIDTH, 3, 2, 1), nn.LazyBatchNorm2d(), nn.ReLU())
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(classes))


@network()
def own_initialization(channels, size, classes):
    """Initial weights from numpy's and Python's generators"""
    return nn.Sequential(OwnInit(channels), block(WIDTH), head(classes))


@network(shape=(3, 12, 20))
def not_square(channels, size, classes):
    """Images of 12 by 20 pixels"""
    last = (nn.Flatten(), nn.Linear(WIDTH * (size[0] // 4) * (size[1] // 4), classes))
    return nn.Sequential(stem(channels), block(WIDTH, stride=2), *last)


@network(shape=(1, 16, 16))
def one_channel(channels, size, classes):
    """Grey images, a first depthwise convolution"""
    return nn.Sequential(block(channels, groups=channels), stem(WIDTH), head(classes))


@network(classes=2)
def two_classes(channels, size, classes):
    """Two classes"""
    return nn.Sequential(stem(channels), Residual(block(WIDTH)), nn.ReLU(), head(classes))


@network(classes=1000)
def thousand_classes(channels, size, classes):
    """1,000 classes"""
    return nn.Sequential(stem(channels), block(WIDTH, 64), head(classes, 64))


@network()
def inputs_rescaled(channels, size, classes):
    """The network normalizes its images itself"""
    rescale = Applied(lambda x: (x - 0.1) / 0.5)
    return nn.Sequential(rescale, stem(channels), Residual(block(WIDTH)), head(classes))


@network()
def log_softmax(channels, size, classes):
    """The network ends in log_softmax"""
    return nn.Sequential(stem(channels), block(WIDTH), head(classes), nn.LogSoftmax(1))
