"""What the networks of the gauntlet are built from."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

WIDTH = 16


class Applied(nn.Module):
    """A function of a value, as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, *body: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def block(
    inputs: int, outputs: int = WIDTH, kernel: int | tuple[int, int] = 3, *, activation=nn.ReLU, **options
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    sides = [size // 2 for size in kernel] if isinstance(kernel, tuple) else kernel // 2
    options = {"padding": sides, "bias": False} | options
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, **options), nn.BatchNorm2d(outputs), activation())


def stem(channels: int, width: int = WIDTH) -> nn.Sequential:
    """A block that halves the image."""
    return block(channels, width, stride=2)


def head(classes: int, width: int = WIDTH) -> nn.Sequential:
    """Global pooling and a classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Patches(nn.Module):
    """Tokens [N, places, width] of image patches."""

    def __init__(self, channels: int, width: int = 32, patch: int = 4):
        super().__init__()
        self.project = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x).flatten(2).transpose(1, 2)


class MeanHead(nn.Module):
    """The classifier of the mean of all tokens."""

    def __init__(self, classes: int, width: int = 32):
        super().__init__()
        self.norm, self.classifier = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.norm(x).mean(1))


def mlp(width: int = 32, activation=nn.GELU) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), activation(), nn.Linear(2 * width, width))
