"""One step of training: from a batch to the next weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from winnow.config.settings import TrainingSettings
from winnow.data.training_images import Batch
from winnow.models.outputs import logits_of, training_loss
from winnow.train.arithmetic import autocast
from winnow.train.extras import Teacher
from winnow.train.updates import Optimizer


def take_step(
    forward: Callable[[Tensor], Any],
    optimizer: Optimizer,
    batch: Batch,
    settings: TrainingSettings,
    precision: str,
    teacher: Teacher | None,
) -> Tensor:
    """Take one optimizer step.

    The gradient is that of the mean loss of the batch, in however many parts it is computed.

    Returns:
        float64 [2]: the sum of the losses, and the number of correct predictions.
    """
    sums = torch.zeros(2, dtype=torch.float64, device=batch.inputs.device)
    optimizer.zero_grad()
    for part in batch.parts(settings.accumulate):
        with autocast(part.inputs.device, precision):
            output = forward(part.inputs)
        loss = training_loss(output, part.targets, label_smoothing=settings.label_smoothing)
        if teacher:
            loss = teacher.loss(loss, logits_of(output), part)
        (loss * (len(part) / len(batch))).backward()
        correct = (logits_of(output).detach().argmax(1) == part.labels).sum()
        sums += torch.stack((loss.detach().double() * len(part), correct.double()))
    if settings.clip_norm is not None:
        nn.utils.clip_grad_norm_(optimizer.parameters, settings.clip_norm)
    optimizer.step()
    return sums
