"""Networks by name, or by the import path of the user's own factory, built for a task."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from winnow.config.catalog import NETWORKS
from winnow.config.settings import ModelSettings
from winnow.errors import WinnowError
from winnow.models.fit import check_fit
from winnow.models.narrowing import read_cut, replay
from winnow.models.outputs import choose_logits
from winnow.models.own_masks import keep_masks
from winnow.models.user_code import imported, user_code
from winnow.models.weights import load_weights
from winnow.rng import seeded
from winnow.study.task import Task

log = logging.getLogger(__name__)


def build_model(settings: ModelSettings, task: Task, *, seed: int) -> nn.Module:
    """Build a network with freshly initialized weights, for a task.

    Args:
        seed: initial weights are a function of it alone; see `check_same_again`.

    Returns:
        A module mapping float32 [N, channels, size, size] to logits [N, classes]; in training possibly to what
        `outputs.training_loss` takes.

    Raises:
        WinnowError: an import path that does not lead to a module factory, or a network that does not fit
            the images.
    """
    label = _label(settings)
    make = _imported(settings, settings.factory) if settings.factory else _builtin(settings.builtin)
    with seeded(seed):
        with user_code(label, "its factory fails", "correct it, or models.<name>.arguments"):
            model = make(settings, task)
            if isinstance(model, nn.Module):
                keep_masks(model)
                if settings.output is not None:
                    choose_logits(model, settings.output, label)
        if not isinstance(model, nn.Module):
            raise WinnowError(f"{label}: the factory returned {type(model).__name__}, not a torch module")
        check_fit(model, label, task.shape, task.classes)
    return model


def check_same_again(model: nn.Module, settings: ModelSettings, task: Task, *, seed: int) -> None:
    """Build a network once more and check that a seed gives the same weights, bit for bit.

    Args:
        model: as `build_model` returned it for these arguments.

    Raises:
        WinnowError: the two differ; names the first parameter that does.
    """
    other = build_model(settings, task, seed=seed).state_dict()
    for name, value in model.state_dict().items():
        same = name in other and value.shape == other[name].shape
        if not same or not ((value == other[name]) | ((value != value) & (other[name] != other[name]))).all():
            raise WinnowError(
                f"{_label(settings)}: built twice with seed {seed}, it has other weights, first in {name}; draw "
                "initial weights from the global generators of torch, numpy or Python, or from one with a fixed seed"
            )


def load_model(settings: ModelSettings, task: Task, weights: str | Path) -> nn.Module:
    """Build a network with the weights of a file, in inference mode on the CPU, as narrow as it was stored.

    Raises:
        WinnowError: as `build_model`, or weights that do not fit.
    """
    model = build_model(settings, task, seed=0)
    replay(model, read_cut(weights), blank_image(task))
    load_weights(weights, model)
    return model.eval()


def blank_image(task: Task) -> Tensor:
    """Return one image of zeros, float32 [1, C, H, W], to run a network for its structure."""
    return torch.zeros(1, *task.shape)


def _label(settings: ModelSettings) -> str:
    return f"model {settings.label}"


def _builtin(name: str) -> Callable[[ModelSettings, Task], nn.Module]:
    build: Callable[[ModelSettings, Task], nn.Module] = importlib.import_module(NETWORKS[name].module).build
    return build


def _imported(settings: ModelSettings, path: str) -> Callable[[ModelSettings, Task], object]:
    """Return the user's factory, called as factory(channels=, size=, classes=, **arguments)."""
    factory = imported(path, f"{_label(settings)}: cannot import factory")
    arguments = dict(settings.arguments)

    def make(_: ModelSettings, task: Task) -> object:
        try:
            call = inspect.signature(factory).bind(**asdict(task), **arguments)
        except TypeError as error:
            raise WinnowError(f"{_label(settings)}: its factory refused the arguments ({error})") from error
        return factory(*call.args, **call.kwargs)

    return make
