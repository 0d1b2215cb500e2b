"""A network learns from the logits of another, beside the labels (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.config.settings import DistillSettings
from winnow.data.training_images import Batch, TrainingImages
from winnow.train.arithmetic import autocast
from winnow.train.extras import Teacher

_BATCH = 500


class Distilling(Teacher):
    """Loss (1 - weight) x that of the labels + weight x temperature^2 x the divergence from the teacher's answer.

    An answer is the softmax of logits divided by the temperature; the square keeps gradients comparable.
    """

    def __init__(self, model: nn.Module, settings: DistillSettings) -> None:
        self._model, self._settings = model.requires_grad_(False).eval(), settings
        self._logits: Tensor | None = None

    def begin(self, images: TrainingImages, device: torch.device, precision: str) -> None:
        """Move to the device; images that are always the same are answered once."""
        self._model, self._precision = self._model.to(device).to(memory_format=torch.channels_last), precision
        if images.always_the_same:
            self._logits = torch.cat([self._answer(inputs) for inputs in images.plain(_BATCH)])

    def loss(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        taught = self._answer(batch.inputs) if self._logits is None else self._logits[batch.places]
        temperature, weight = self._settings.temperature, self._settings.weight
        answer, wanted = (functional.log_softmax(values.float() / temperature, 1) for values in (logits, taught))
        divergence = functional.kl_div(answer, wanted, reduction="batchmean", log_target=True)
        return (1 - weight) * loss + weight * temperature**2 * divergence

    @torch.no_grad()
    def _answer(self, inputs: Tensor) -> Tensor:
        """Return float [N, classes]."""
        with autocast(inputs.device, self._precision):
            logits: Tensor = self._model(inputs)
        return logits
