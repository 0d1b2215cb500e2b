"""Optimizers and learning-rate schedules.

The rate is a pure function of the epoch, so that resuming needs no scheduler state.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from torch import nn, optim

from winnow.config.settings import TrainingSettings

_ONE_CYCLE_START = 1 / 25  # of the peak; Smith & Topin 2018, with torch's defaults
_ONE_CYCLE_END = 1 / 25e4
_SCALE = "scale"  # of a group's rate


def make_optimizer(model: nn.Module, settings: TrainingSettings, head: Collection[str] = ()) -> optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW; batch norm and biases without weight decay if so configured.

    Args:
        head: parameters, by name, that have a learning rate of their own.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = []
    for in_head, scale in ((False, 1.0), (True, (settings.head_lr or settings.lr) / settings.lr)):
        part = [parameter for name, parameter in trained if (name in head) == in_head]
        decayed = [p for p in part if p.ndim > 1 or settings.decay_norm_and_bias]
        spared = [p for p in part if not (p.ndim > 1 or settings.decay_norm_and_bias)]
        groups.append({"params": decayed, "weight_decay": settings.weight_decay, _SCALE: scale})
        groups.append({"params": spared, "weight_decay": 0.0, _SCALE: scale})
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adamw":
        return optim.AdamW(groups, lr=settings.lr, fused=True)
    # fused: one pass over the weights instead of several, a tenth of a training step of ResNet-18 on a CPU
    return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=True)


def set_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Set the learning rate; that of the head in proportion."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[_SCALE]


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
