"""Optimizers and learning-rate schedules.

The rate is a pure function of the epoch, so that resuming needs no scheduler state.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from torch import nn

from winnow.config.settings import TrainingSettings
from winnow.train.updates import AdamW, Group, Optimizer, Sgd

_ONE_CYCLE_START = 1 / 25  # of the peak; Smith & Topin 2018, with torch's defaults
_ONE_CYCLE_END = 1 / 25e4


def make_optimizer(model: nn.Module, settings: TrainingSettings, head: Collection[str] = ()) -> Optimizer:
    """SGD with Nesterov momentum, or AdamW; batch norm and biases without weight decay if so configured.

    Args:
        head: parameters, by name, that have a learning rate of their own.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups: list[Group] = []
    for in_head, scale in ((False, 1.0), (True, (settings.head_lr or settings.lr) / settings.lr)):
        part = [parameter for name, parameter in trained if (name in head) == in_head]
        decayed = [p for p in part if p.ndim > 1 or settings.decay_norm_and_bias]
        spared = [p for p in part if not (p.ndim > 1 or settings.decay_norm_and_bias)]
        groups.append(Group(decayed, settings.weight_decay, scale))
        groups.append(Group(spared, 0.0, scale))
    groups = [group for group in groups if group.parameters]
    return AdamW(groups) if settings.optimizer == "adamw" else Sgd(groups, settings.momentum)


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
