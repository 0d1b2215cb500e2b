"""Optimizers and learning-rate schedules.

The rate is a pure function of the epoch, so that resuming needs no scheduler state.
"""

from __future__ import annotations

import math

from torch import nn, optim

from winnow.config.settings import TrainingSettings

_ONE_CYCLE_START = 1 / 25  # of the peak; Smith & Topin 2018, with torch's defaults
_ONE_CYCLE_END = 1 / 25e4


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW; batch norm and biases without weight decay if so configured."""
    decayed = [p for p in model.parameters() if p.requires_grad and (p.ndim > 1 or settings.decay_norm_and_bias)]
    spared = [p for p in model.parameters() if p.requires_grad and not (p.ndim > 1 or settings.decay_norm_and_bias)]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adamw":
        return optim.AdamW(groups, lr=settings.lr, fused=True)
    # fused: one pass over the weights instead of several, a tenth of a training step of ResNet-18 on a CPU
    return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=True)


def set_rate(optimizer: optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(epoch: float, settings: TrainingSettings) -> float:
    """Return the rate at a point in training.

    Args:
        epoch: from 0 to `settings.epochs`, fractional within an epoch.
    """
    warmup, peak = min(settings.warmup_epochs, settings.epochs), settings.lr
    if epoch < warmup:
        start = _ONE_CYCLE_START if settings.schedule == "one_cycle" else 0.0
        # half a step ahead would be exact; the first step must not have rate 0
        return peak * (start + (1 - start) * max(epoch, 1e-3 * warmup) / warmup)
    if settings.schedule == "multi_step":
        return peak * settings.gamma ** sum(epoch >= milestone for milestone in settings.milestones)
    done = (epoch - warmup) / max(settings.epochs - warmup, 1e-9)
    floor = _ONE_CYCLE_END if settings.schedule == "one_cycle" else 0.0
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)
