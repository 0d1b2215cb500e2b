"""Loss and accuracy of a torch module on a split, during training."""

from __future__ import annotations

import logging

import torch
from torch import nn
from torch.nn import functional

from winnow.data.batches import Split
from winnow.study.quality import learned
from winnow.train.arithmetic import autocast

log = logging.getLogger(__name__)
_BATCH = 500


@torch.no_grad()
def score(model: nn.Module, split: Split, device: torch.device, precision: str) -> tuple[float, float]:
    """Return (mean cross-entropy, top-1 accuracy between 0 and 1) of a network in inference mode."""
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for images, labels in split.batches(_BATCH):
        with autocast(device, precision):
            logits = model(images).float()
        sums += torch.stack(
            (functional.cross_entropy(logits, labels, reduction="sum"), (logits.argmax(1) == labels).sum())
        ).double()
    loss, correct = (sums / len(split)).tolist()
    return loss, correct


def warn_of_nothing_learned(label: str, accuracy: float, split: Split) -> None:
    """Log that a trained network is no better than one that always answers the most frequent class, if it is not.

    Nothing is said on so few images, as a check has, that right answers to all of them would prove nothing.
    """
    most_frequent = split.labels.bincount().max().item() / len(split)
    enough = learned(1.0, most_frequent, len(split))
    if enough and not learned(accuracy, most_frequent, len(split)):
        log.warning(
            "%s: has learned nothing: it is no better on %d validation images than always answering the most frequent "
            "class (%.2f %%); look at the labels and images, and at the learning rate",
            *(label, len(split), 100 * most_frequent),
        )
