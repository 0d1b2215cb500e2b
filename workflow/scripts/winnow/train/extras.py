"""What a training run does only where it is asked to, and what it does instead: nothing. See `config.extras`."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from winnow.config.extras import AVERAGE, DISTILLATION
from winnow.config.settings import DistillSettings, ModelSettings, TrainingSettings
from winnow.data.training_images import Batch, TrainingImages
from winnow.models.build import load_model
from winnow.study.task import Task


class Average:
    """What of a network is validated and saved: the weights that it has.

    Attributes:
        state: what it has to keep beside them, tensors by name.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    def update(self, model: nn.Module, step: int) -> None:
        """Take notice of the weights after a step, counted from 0."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what an earlier attempt kept.

        Raises:
            ValueError: that is not what is kept here.
        """
        if state.keys() != self.state.keys():
            raise ValueError(f"it has an average of {len(state)} tensors")
        for name, value in self.state.items():
            value.copy_(state[name])

    def within(self, model: nn.Module) -> AbstractContextManager[object]:  # noqa: ARG002 - nothing is put in
        """Let a network have what is validated and saved, for a while."""
        return nullcontext()

    def settle(self, model: nn.Module) -> None:
        """Let it have that for good."""


def average_of(model: nn.Module, settings: TrainingSettings) -> Average:
    """Return what a training run validates and saves of a network, which begins with its weights of now."""
    if settings.ema_decay is None:
        return Average()
    average: Average = importlib.import_module(AVERAGE).MovingAverage(model, settings.ema_decay)
    return average


class Teacher(ABC):
    """A trained network whose logits another one learns from, beside the labels."""

    @abstractmethod
    def begin(self, images: TrainingImages, device: torch.device, precision: str) -> None:
        """Prepare for the batches of these images."""

    @abstractmethod
    def loss(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss to be trained by.

        Args:
            loss: that of the labels.
            logits: of the network that learns, float [N, classes].
        """


def teacher_of(
    settings: DistillSettings | None, network: ModelSettings, task: Task, weights: str | Path
) -> Teacher | None:
    """Return what a network learns from beside the labels, if it does.

    Args:
        network, weights: of the dense network.

    Raises:
        WinnowError: the weights do not fit the network.
    """
    if settings is None:
        return None
    model = load_model(network, task, weights)
    teacher: Teacher = importlib.import_module(DISTILLATION).Distilling(model, settings)
    return teacher
