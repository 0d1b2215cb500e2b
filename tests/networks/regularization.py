"""What happens only while training: noise, drops, further outputs."""

from __future__ import annotations

from collections import namedtuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from networks.parts import WIDTH, Applied, Residual, block, head, stem
from networks.record import STAGES, collector, without_channels

NETWORKS, network = collector()
Outputs = namedtuple("Outputs", ["logits", "auxiliary"])


class DropPath(nn.Module):
    """timm's: whole branches are dropped by image, while training."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.rate
        return x * keep / (1 - self.rate)


class Noise(nn.Module):
    """Gaussian noise while training."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * torch.randn_like(x) if self.training else x


class FunctionalDropout(nn.Module):
    """F.dropout with the flag of the module."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.body, self.classifier = nn.Sequential(stem(channels), block(WIDTH)), nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout2d(self.body(x), 0.1, self.training)
        return self.classifier(functional.dropout(x.mean((2, 3)), 0.3, training=self.training))


class AlwaysDropout(FunctionalDropout):
    """F.dropout without the flag: it drops in inference, too."""

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(functional.dropout(self.body(x).mean((2, 3)), 0.3))


class Auxiliary(nn.Module):
    """A second head while training."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.first, self.second = stem(channels), block(WIDTH, stride=2)
        self.auxiliary, self.head = head(classes), head(classes)

    def forward(self, x: Tensor) -> Tensor | Outputs:
        x = self.first(x)
        logits = self.head(self.second(x))
        return Outputs(logits, self.auxiliary(x)) if self.training else logits


class Dictionary(nn.Module):
    """Logits in a dict, as segmentation and Hugging Face models return them."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.body, self.head = nn.Sequential(stem(channels), block(WIDTH)), head(classes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.body(x)
        return {"logits": self.head(features), "features": features}


class SeveralTaps(nn.Module):
    """Features of three depths are pooled and read together; each has several readers."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.blocks = nn.ModuleList((stem(channels), block(WIDTH), block(WIDTH)))
        self.classifier = nn.Linear(3 * WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        taps = []
        for layer in self.blocks:
            x = layer(x)
            taps.append(x.mean((2, 3)))
        return self.classifier(torch.cat(taps, 1))


@network()
def stochastic_depth(channels, size, classes):
    """torchvision's StochasticDepth on residual branches"""
    branches = (Residual(block(WIDTH), StochasticDepth(0.2, "row")) for _ in range(2))
    return nn.Sequential(stem(channels), *branches, head(classes))


@network()
def drop_path(channels, size, classes):
    """timm's DropPath, random under self.training"""
    branches = (Residual(block(WIDTH), DropPath(0.2)) for _ in range(2))
    return nn.Sequential(stem(channels), *branches, head(classes))


@network()
def functional_dropout(channels, size, classes):
    """F.dropout and F.dropout2d with training=self.training"""
    return FunctionalDropout(channels, classes)


@network(
    refused=dict.fromkeys(STAGES, "does at inference what belongs to training only")
    | dict.fromkeys(("ptq", "qat"), "is random in inference")
    | without_channels("what is computed beside them depends on them")
)
def dropout_left_on(channels, size, classes):
    """F.dropout without its flag: random in inference, too"""
    return AlwaysDropout(channels, classes)


@network()
def feature_dropout(channels, size, classes):
    """Dropout2d between convolutions"""
    return nn.Sequential(stem(channels), nn.Dropout2d(0.1), block(WIDTH), nn.Dropout2d(0.3), head(classes))


@network()
def alpha_dropout(channels, size, classes):
    """SELU with AlphaDropout"""
    selu = lambda inputs, stride: (nn.Conv2d(inputs, WIDTH, 3, stride, 1), nn.SELU(), nn.AlphaDropout(0.1))
    return nn.Sequential(*selu(channels, 2), *selu(WIDTH, 1), head(classes))


@network()
def randomized_relu(channels, size, classes):
    """RReLU: random slopes while training"""
    return nn.Sequential(
        block(channels, stride=2, activation=nn.RReLU), block(WIDTH, activation=nn.RReLU), head(classes)
    )


@network()
def gaussian_noise(channels, size, classes):
    """A layer that adds noise while training"""
    return nn.Sequential(stem(channels), Noise(), block(WIDTH), Noise(), head(classes))


@network()
def auxiliary_output(channels, size, classes):
    """A second output while training (GoogLeNet, Inception)"""
    return Auxiliary(channels, classes)


@network()
def dictionary_output(channels, size, classes):
    """A dict with logits and features"""
    return Dictionary(channels, classes)


@network()
def several_taps(channels, size, classes):
    """Taps after every block, values with several readers"""
    return SeveralTaps(channels, classes)


@network()
def in_place(channels, size, classes):
    """In-place operators on values that are read again"""
    double = Applied(lambda x: x.mul_(2).add_(1).relu_())
    return nn.Sequential(
        nn.Conv2d(channels, WIDTH, 3, 2, 1), double, Residual(block(WIDTH)), nn.ReLU(True), head(classes)
    )
