"""The typed, frozen settings of every stage.

There are no defaults here: `config.keys` states them, with ranges and meanings, and each script builds its settings
once from the rule's `params`. They are no models of pydantic: what a stage depends on must not change with the wording
of a key, and a job need not import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winnow.config.typed import Settings
from winnow.errors import WinnowError
from winnow.study.recipe import Recipe
from winnow.study.words import NONE


@dataclass(frozen=True, slots=True)
class DatasetSettings(Settings):
    """What a data set is made from; see config/README.md for each key."""

    name: str
    source: str
    path: str
    image_size: tuple[int, ...] | None
    resize: tuple[int, ...] | None
    crop: tuple[int, ...] | None
    interpolation: str
    channels: int | None
    background: str
    upright: bool
    classes: tuple[str, ...] | None
    validation_fraction: float
    split_seed: int
    max_train_samples: int | None
    max_test_samples: int | None


@dataclass(frozen=True, slots=True)
class NormalizationSettings(Settings):
    """How the pixels of a data set become what a network takes.

    Attributes:
        mean, std: one number or one for each channel; None where weights or data say it.
        value_range: 1 or 255.
        channel_order: `rgb` or `bgr`.
        stated_by: weights of torchvision that are asked first, `ResNet18_Weights.IMAGENET1K_V1`.
    """

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    value_range: int
    channel_order: str
    stated_by: str | None


PLAIN_NORMALIZATION = NormalizationSettings(mean=None, std=None, value_range=1, channel_order="rgb", stated_by=None)
"""By the mean and standard deviation of the data."""


@dataclass(frozen=True, slots=True)
class ModelSettings(Settings):
    """A network by `name`, or by the import path of the user's `factory`; `output` chooses its logits."""

    label: str
    name: str | None
    stem: str
    shortcut: str
    factory: str | None
    arguments: Mapping[str, Any]
    output: str | int | None

    @property
    def builtin(self) -> str:
        """Return the name of a built-in network.

        Raises:
            WinnowError: it is the user's own.
        """
        if self.name is None:
            raise WinnowError(f"model {self.label}: {self.factory} is no built-in network")
        return self.name


@dataclass(frozen=True, slots=True)
class ImportSettings(Settings):
    """Weights that were trained elsewhere.

    Attributes:
        label: of the model; `entry` is the key that names them.
        weights: a path, or the name of weights that torchvision has, `torchvision:ResNet18_Weights.IMAGENET1K_V1`.
        key: where in a checkpoint they are; None where it is to be found.
        new_head: the last layer keeps fresh weights.
    """

    label: str
    entry: str
    weights: str
    key: str | None
    new_head: bool


@dataclass(frozen=True, slots=True)
class TrainedSettings(Settings):
    """What training took that was done elsewhere, as far as it is known."""

    seconds: float | None
    joules: float | None


@dataclass(frozen=True, slots=True)
class TrainingSettings(Settings):
    """One training run: optimizer, schedule, augmentation and arithmetic."""

    epochs: int
    batch_size: int
    accumulate: int
    optimizer: str
    lr: float
    head_lr: float | None
    freeze: tuple[str, ...]
    momentum: float
    weight_decay: float
    decay_norm_and_bias: bool
    schedule: str
    warmup_epochs: float
    milestones: tuple[float, ...]
    gamma: float
    clip_norm: float | None
    ema_decay: float | None
    label_smoothing: float
    crop_padding: int
    flip: bool
    resized_crop: float | None
    color_jitter: float
    policy: str
    erasing: float
    mixup: float
    cutmix: float
    precision: str
    compile: bool
    device: str
    rewind_epochs: tuple[int, ...]

    @property
    def augmented(self) -> bool:
        """Whether images are changed by more than `crop_padding` and `flip`."""
        amounts = (self.resized_crop is not None, self.color_jitter, self.erasing, self.mixup, self.cutmix)
        return any(amounts) or self.policy != NONE


@dataclass(frozen=True, slots=True)
class DistillSettings(Settings):
    """What a training run learns from the logits of the dense network; `weight` is above 0."""

    temperature: float
    weight: float


@dataclass(frozen=True, slots=True)
class StrategySettings(Settings):
    """One combination of the pruning axes.

    `rewind_epoch` is the number of trained epochs the weights go back to, None if they do not go back to any.
    """

    criterion: str
    scope: str
    structure: str
    ratio: float
    rounds: int
    rewind: str
    rewind_epoch: int | None
    shuffle: str


@dataclass(frozen=True, slots=True)
class PruningSettings(Settings):
    """What all pruning strategies of a study share."""

    skip_layers: tuple[str, ...]
    min_density: float
    calibration_samples: int


@dataclass(frozen=True, slots=True)
class RetrainingSettings(Settings):
    """The training after a pruning step; it takes up its schedule at `first_epoch`."""

    first_epoch: int
    training: TrainingSettings
    distill: DistillSettings | None


@dataclass(frozen=True, slots=True)
class BoundsSettings(Settings):
    """What a quantized network must reach, or it is refused: share of multiply-accumulates on integers, SQNR of its
    logits (dB) and share of predictions equal to those of its float counterpart."""

    min_integer_macs: float
    min_sqnr_db: float
    min_agreement: float


@dataclass(frozen=True, slots=True)
class QatSettings(Settings):
    """Quantization-aware training: a training run of its own, and when its statistics freeze."""

    freeze_observers_epoch: int
    freeze_batchnorm_epoch: int
    training: TrainingSettings
    distill: DistillSettings | None


@dataclass(frozen=True, slots=True)
class CheckSettings(Settings):
    """What a study asks of one network, each kind once: see `check_request`."""

    model: ModelSettings
    seed: int
    training: TrainingSettings
    recipes: tuple[Recipe, ...]
    min_integer_macs: float
    baked_in: bool
    qat: QatSettings | None
    strategies: tuple[StrategySettings, ...]
    pruning: PruningSettings | None


@dataclass(frozen=True, slots=True)
class BenchmarkSettings(Settings):
    """Latency and energy of inference."""

    runtimes: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    threads: tuple[int, ...]
    warmup_seconds: float
    seconds: float
    tdp_watts: float
