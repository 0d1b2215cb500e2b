"""Networks by name, shaped by the data set: channels, image size and class count."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from winnow.architectures import CifarResNet, VggBn, lenet5, lenet_300_100
from winnow.checkpoint import load_weights
from winnow.data import ImageDataset
from winnow.errors import WinnowError
from winnow.narrowing import read_cut, replay
from winnow.settings import ModelSettings


def build_model(settings: ModelSettings, data: ImageDataset, *, seed: int) -> nn.Module:
    """Build a network with freshly initialized weights, shaped by a data set.

    Args:
        seed: initial weights are a function of it alone.

    Returns:
        A module mapping float32 [N, channels, size, size] to logits [N, classes].

    Raises:
        WinnowError: an import path that does not lead to a module factory, or a network that does not fit
            the images.
    """
    channels, size, classes = data.channels, data.size, len(data.classes)
    make = _imported(settings) if settings.factory else _BY_NAME[settings.name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers draw their initial weights from the global generator
        try:
            model = make(settings, channels, size, classes)
        except TypeError as error:
            raise WinnowError(f"model {settings.label}: its factory refused the arguments ({error})") from error
    if not isinstance(model, nn.Module):
        raise WinnowError(f"model {settings.label}: the factory returned {type(model).__name__}, not a torch module")
    _check_fit(model, settings, channels, size, classes)
    return model


def load_model(settings: ModelSettings, data: ImageDataset, weights: str | Path) -> nn.Module:
    """Build a network with the weights of a file, in inference mode on the CPU, as narrow as it was stored.

    Raises:
        WinnowError: as `build_model`, or weights that do not fit.
    """
    model = build_model(settings, data, seed=0)
    replay(model, read_cut(weights), blank_image(data))
    load_weights(weights, model)
    return model.eval()


def blank_image(data: ImageDataset) -> Tensor:
    """Return one image of zeros, float32 [1, C, H, W], to run a network for its structure."""
    return torch.zeros(1, data.channels, data.size, data.size)


def _check_fit(model: nn.Module, settings: ModelSettings, channels: int, size: int, classes: int) -> None:
    was_training = model.training
    try:
        with torch.no_grad():
            logits = model.eval()(torch.zeros(2, channels, size, size))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise WinnowError(
            f"model {settings.label}: does not accept {channels}x{size}x{size} images ({reason}); "
            "set image_size of the data set, or choose another network"
        ) from error
    model.train(was_training)
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise WinnowError(
            f"model {settings.label}: for 2 images its output is {found}, expected logits of shape (2, {classes})"
        )


def _imported(settings: ModelSettings) -> Callable[..., nn.Module]:
    """Return the user's factory, called as factory(channels=, size=, classes=, **arguments)."""
    module_name, _, attribute = settings.factory.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # the user's package lies where snakemake was started
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise WinnowError(
            f"model {settings.label}: cannot import factory {settings.factory!r} ({error}); "
            f"looked on the Python path and in {Path.cwd()}"
        ) from error
    arguments = dict(settings.arguments)
    return lambda _, channels, size, classes: factory(channels=channels, size=size, classes=classes, **arguments)


def _resnet(settings: ModelSettings, channels: int, _size: int, classes: int) -> nn.Module:
    model = getattr(torchvision.models, settings.name)(num_classes=classes)
    if settings.stem == "cifar":
        model.conv1 = _kaiming(nn.Conv2d(channels, 64, 3, padding=1, bias=False))
        model.maxpool = nn.Identity()
    elif channels != 3:
        model.conv1 = _kaiming(nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False))
    return model


def _mobilenet_v2(settings: ModelSettings, channels: int, _size: int, classes: int) -> nn.Module:
    model = torchvision.models.mobilenet_v2(num_classes=classes)
    stride = 1 if settings.stem == "cifar" else 2
    if stride == 1 or channels != 3:
        model.features[0][0] = _kaiming(nn.Conv2d(channels, 32, 3, stride=stride, padding=1, bias=False))
    if stride == 1:
        model.features[2].conv[1][0].stride = (1, 1)  # 32x32 images keep 4x4 pixels before the pooling
    return model


def _vgg16_bn(_: ModelSettings, channels: int, _size: int, classes: int) -> nn.Module:
    features = torchvision.models.vgg16_bn(num_classes=classes).features
    if channels != 3:
        features[0] = _kaiming(nn.Conv2d(channels, 64, 3, padding=1))
    return VggBn(features, classes)


def _kaiming(convolution: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def _cifar_resnet(depth: int) -> Callable[..., nn.Module]:
    return lambda settings, channels, _, classes: CifarResNet(depth, channels, classes, settings.shortcut)


_BY_NAME: dict[str, Callable[[ModelSettings, int, int, int], nn.Module]] = {
    "resnet18": _resnet,
    "resnet34": _resnet,
    "resnet50": _resnet,
    "mobilenet_v2": _mobilenet_v2,
    "vgg16_bn": _vgg16_bn,
    "resnet20": _cifar_resnet(20),
    "resnet56": _cifar_resnet(56),
    "lenet_300_100": lambda _, channels, size, classes: lenet_300_100(channels, size, classes),
    "lenet5": lambda _, channels, size, classes: lenet5(channels, size, classes),
}
