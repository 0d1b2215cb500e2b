"""Networks by name, shaped by the data set: channels, image size and class count."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from winnow.config.settings import ModelSettings
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.models.architectures import CifarResNet, VggBn, lenet5, lenet_300_100
from winnow.models.fit import check_fit
from winnow.models.narrowing import read_cut, replay
from winnow.models.own_masks import keep_masks
from winnow.models.user_code import cause_of, user_code
from winnow.models.weights import load_weights
from winnow.rng import seeded

log = logging.getLogger(__name__)


def build_model(settings: ModelSettings, data: ImageDataset, *, seed: int) -> nn.Module:
    """Build a network with freshly initialized weights, shaped by a data set.

    Args:
        seed: initial weights are a function of it alone; see `check_same_again`.

    Returns:
        A module mapping float32 [N, channels, size, size] to logits [N, classes]; in training possibly to what
        `outputs.training_loss` takes.

    Raises:
        WinnowError: an import path that does not lead to a module factory, or a network that does not fit
            the images.
    """
    channels, size, classes = data.channels, data.size, len(data.classes)
    label = _label(settings)
    make = _imported(settings) if settings.factory else _BY_NAME[settings.name]
    with seeded(seed):
        with user_code(label, "its factory fails", "correct it, or models.<name>.arguments"):
            model = make(settings, channels, size, classes)
            if isinstance(model, nn.Module):
                keep_masks(model)
        if not isinstance(model, nn.Module):
            raise WinnowError(f"{label}: the factory returned {type(model).__name__}, not a torch module")
        check_fit(model, label, (channels, size, size), classes)
    return model


def check_same_again(model: nn.Module, settings: ModelSettings, data: ImageDataset, *, seed: int) -> None:
    """Build a network once more and check that a seed gives the same weights, bit for bit.

    Args:
        model: as `build_model` returned it for these arguments.

    Raises:
        WinnowError: the two differ; names the first parameter that does.
    """
    other = build_model(settings, data, seed=seed).state_dict()
    for name, value in model.state_dict().items():
        same = name in other and value.shape == other[name].shape
        if not same or not ((value == other[name]) | ((value != value) & (other[name] != other[name]))).all():
            raise WinnowError(
                f"{_label(settings)}: built twice with seed {seed}, it has other weights, first in {name}; draw "
                "initial weights from the global generators of torch, numpy or Python, or from one with a fixed seed"
            )


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


def _label(settings: ModelSettings) -> str:
    return f"model {settings.label}"


def _imported(settings: ModelSettings) -> Callable[..., nn.Module]:
    """Return the user's factory, called as factory(channels=, size=, classes=, **arguments)."""
    module_name, _, attribute = settings.factory.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # the user's package lies where snakemake was started
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # the user's module may raise anything
        log.info("%s: importing %s", settings.label, module_name, exc_info=True)
        raise WinnowError(
            f"{_label(settings)}: cannot import factory {settings.factory!r} ({cause_of(error)}); "
            f"looked on the Python path and in {Path.cwd()}"
        ) from error
    arguments = dict(settings.arguments)

    def make(_: ModelSettings, channels: int, size: int, classes: int) -> nn.Module:
        try:
            call = inspect.signature(factory).bind(channels=channels, size=size, classes=classes, **arguments)
        except TypeError as error:
            raise WinnowError(f"{_label(settings)}: its factory refused the arguments ({error})") from error
        return factory(*call.args, **call.kwargs)

    return make


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
