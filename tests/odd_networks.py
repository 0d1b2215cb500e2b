"""Factories of small networks that do one unusual thing each: what people bring along."""

# ruff: noqa: ARG001, ARG002 - every factory takes the same arguments

from __future__ import annotations

import random
import sys
from collections import namedtuple

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

Outputs = namedtuple("Outputs", ["logits", "aux_logits"])


def plain(channels, size, classes, middle=()):
    """Two convolutions, `middle`, and a linear layer on 8 features."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=4, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *middle,
        nn.Linear(8, classes),
    )


# ---- initial weights


def lazy(channels, size, classes):
    return nn.Sequential(nn.LazyConv2d(8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(classes))


def _filled(channels, size, classes, draw):
    network = plain(channels, size, classes)
    with torch.no_grad():
        network[2].weight.copy_(
            torch.tensor(np.array([draw() for _ in range(network[2].weight.numel())])).view(8, 8, 3, 3)
        )
    return network


def from_numpy(channels, size, classes):
    return _filled(channels, size, classes, np.random.standard_normal)


def from_python(channels, size, classes):
    return _filled(channels, size, classes, random.random)


def from_nowhere(channels, size, classes):
    return _filled(channels, size, classes, np.random.default_rng().standard_normal)


# ---- whatever is raised


class Raising(nn.Module):
    def __init__(self, error, only_in_training=False):
        super().__init__()
        self.error, self.only_in_training = error, only_in_training

    def forward(self, x):
        if self.training or not self.only_in_training:
            raise self.error
        return x


ERRORS = {
    "assertion": AssertionError(),
    "index": IndexError("list index out of range"),
    "zero": ZeroDivisionError("division by zero"),
    "key": KeyError("weight"),
    "type": TypeError("unhashable"),
    "exit": SystemExit(3),
}


def raising(channels, size, classes, kind, only_in_training=False):
    return plain(channels, size, classes, [nn.Sequential(Raising(ERRORS[kind], only_in_training))])


def ending(channels, size, classes):
    sys.exit("bye")


def for_224_pixels(channels, size, classes):
    import torchvision

    return torchvision.models.VisionTransformer(224, 32, 1, 2, 16, 32, num_classes=classes)


# ---- outputs


class Heads(nn.Module):
    """Logits and auxiliary logits, in training or always, as one of several kinds of container."""

    def __init__(self, channels, size, classes, kind):
        super().__init__()
        self.body, self.aux, self.kind = plain(channels, size, 16), nn.Linear(16, classes), kind
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        x = functional.relu(self.body(x))
        logits, aux = self.head(x), self.aux(x)
        if self.kind == "inception":
            return Outputs(logits, aux) if self.training else logits
        if self.kind == "named":
            return Outputs(logits, aux)
        if self.kind == "dict":
            return {"probabilities": logits.softmax(1), "out": logits, "aux": aux}
        return [logits, aux] if self.kind == "list" else (logits, x)


def heads(channels, size, classes, kind):
    return Heads(channels, size, classes, kind)


class Cast(nn.Module):
    def forward(self, x):
        return x.half()


def half(channels, size, classes):
    return nn.Sequential(plain(channels, size, classes), Cast())


def infinite(channels, size, classes):
    network = plain(channels, size, classes)
    nn.init.constant_(network[6].bias, torch.inf)
    return network


# ---- inference that depends on more than the image


def batch_statistics(channels, size, classes):
    return plain(channels, size, classes, [nn.BatchNorm1d(8, track_running_stats=False)])


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def centred(channels, size, classes):
    return plain(channels, size, classes, [Centred()])


class Noise(nn.Module):
    def forward(self, x):
        return functional.dropout(x, 0.5, training=True)


def noisy(channels, size, classes):
    return plain(channels, size, classes, [Noise()])


class Squeezed(nn.Module):
    def forward(self, x):
        return x.squeeze()


def squeezed(channels, size, classes):
    return plain(channels, size, classes, [Squeezed()])


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x


def counting(channels, size, classes):
    return plain(channels, size, classes, [Counting()])


# ---- weights that are no plain parameter of their layer


class StandardizedConv2d(nn.Conv2d):
    """Weight standardization (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return functional.conv2d(x, w, self.bias, self.stride, self.padding)


def standardized(channels, size, classes):
    network = plain(channels, size, classes)
    network[2] = StandardizedConv2d(8, 8, 3, padding=1)
    return network


class Equalized(nn.Conv2d):
    """Equalized learning rate (Karras et al. 2018): the weight is scaled wherever it is used."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * 0.1, self.bias, self.stride, self.padding)


def equalized(channels, size, classes):
    network = plain(channels, size, classes)
    network[2] = Equalized(8, 8, 3, padding=1)
    return network


def parametrized(channels, size, classes, kind):
    network = plain(channels, size, classes)
    getattr(parametrizations, kind)(network[2])
    return network


def pruned(channels, size, classes):
    network = plain(channels, size, classes)
    prune.l1_unstructured(network[2], "weight", amount=0.5)
    return network


class Attention(nn.Module):
    """One layer of attention on 4 x 4 patches, with positions and a class token."""

    def __init__(self, channels, size, classes, width=16):
        super().__init__()
        self.patch = nn.Conv2d(channels, width, size // 4, size // 4)
        self.token, self.position = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.randn(1, 17, width))
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.up, self.down = nn.Linear(width, width * 2), nn.Linear(width * 2, width)
        self.unused = nn.Linear(width, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.position
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head((x + self.down(functional.gelu(self.up(x))))[:, 0])


def attention(channels, size, classes):
    return Attention(channels, size, classes)


class Repeated(nn.Module):
    """Adds a parameter once for each image: the number of images is fixed when the network is captured."""

    def __init__(self, width):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(1, width))

    def forward(self, x):
        return x + self.shift.repeat(len(x), 1)


def fixed_batch(channels, size, classes):
    return plain(channels, size, classes, [Repeated(8)])


class Rows(nn.Module):
    """A recurrent network that reads an image row by row."""

    def __init__(self, channels, size, classes, kind):
        super().__init__()
        self.rnn, self.head = getattr(nn, kind)(channels * size, 8, batch_first=True), nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.rnn(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1])


def rows(channels, size, classes, kind):
    return Rows(channels, size, classes, kind)


class Transposed(nn.Module):
    """Down and up again, then a bilinear form and a product with a parameter of its own."""

    def __init__(self, channels, size, classes):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)
        self.pair, self.own = nn.Bilinear(4, 4, 6), nn.Parameter(torch.randn(6, classes))

    def forward(self, x):
        x = functional.relu(self.up(functional.relu(self.down(x)))).mean((2, 3))
        return self.pair(x, x) @ self.own


def transposed(channels, size, classes):
    return Transposed(channels, size, classes)


class Tied(nn.Module):
    """Two convolutions with one weight."""

    def __init__(self, channels, size, classes):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, stride=4, padding=1)
        self.one, self.two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.two.weight = self.one.weight
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.two(functional.relu(self.one(functional.relu(self.stem(x))))).mean((2, 3)))


def tied(channels, size, classes):
    return Tied(channels, size, classes)


class Buckets(nn.Module):
    """Goes another way for dark images, which nothing can capture."""

    def forward(self, x):
        return x * 2 if x.mean() < 0 else x


def branching(channels, size, classes):
    return plain(channels, size, classes, [Buckets()])


# ---- batch norms over single values


def last_batch(channels, size, classes):
    return plain(channels, size, classes, [nn.BatchNorm1d(8)])


def versioned(channels, size, classes):
    return torchvision.models.mnasnet0_5(num_classes=classes)
