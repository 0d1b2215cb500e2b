"""What training runs do only where they are asked to: each in a module of its own, loaded by name.

So a change of one trains nothing again that does not use it, and what it needs, as torchvision, is loaded for nobody
else. Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.config.settings import DistillSettings, TrainingSettings

AUGMENTATION = "winnow.data.augmentation"
"""With `augmentation`; see `winnow.data.training_images`."""
AVERAGE = "winnow.train.moving_average"
"""With `MovingAverage`; see `winnow.train.extras`."""
DISTILLATION = "winnow.train.distillation"
"""With `Distilling`; see `winnow.train.extras`."""


def extras(training: TrainingSettings, distill: DistillSettings | None = None) -> Iterator[str]:
    """Yield the modules that a training run loads by name."""
    if training.augmented:
        yield AUGMENTATION
    if training.ema_decay is not None:
        yield AVERAGE
    if distill is not None:
        yield DISTILLATION
