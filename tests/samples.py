"""Settings and small data sets for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from winnow.config.settings import DatasetSettings, ModelSettings, TrainingSettings
from winnow.data.dataset import ImageDataset
from winnow.study.training import Training
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

REPOSITORY = Path(__file__).resolve().parents[1]


def training_settings(**changes) -> TrainingSettings:
    values = {
        "epochs": 2,
        "batch_size": 16,
        "accumulate": 1,
        "optimizer": "sgd",
        "lr": 0.05,
        "head_lr": None,
        "freeze": [],
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "decay_norm_and_bias": False,
        "schedule": "one_cycle",
        "warmup_epochs": 1,
        "milestones": [],
        "gamma": 0.1,
        "clip_norm": None,
        "ema_decay": None,
        "label_smoothing": 0.0,
        "crop_padding": 2,
        "flip": False,
        "resized_crop": None,
        "color_jitter": 0.0,
        "policy": "none",
        "erasing": 0.0,
        "mixup": 0.0,
        "cutmix": 0.0,
        "precision": "fp32",
        "compile": False,
        "device": "cpu",
        "rewind_epochs": [],
    }
    return TrainingSettings.of(values | changes)


def train_in(folder: Path, trainee: Trainee, data: ImageDataset, settings: TrainingSettings) -> Training:
    """Train, with state and history in a folder; a second call goes on from the state."""
    return train(
        trainee,
        data,
        settings,
        Job(
            label="net",
            seed=0,
            resume=ResumeFile(folder / "weights.resume", "k"),
            history=folder / "history.csv",
            snapshots={},
            tdp_watts=65.0,
        ),
    )


def model_settings(label: str, **changes) -> ModelSettings:
    values = {
        "label": label,
        "name": label,
        "stem": "imagenet",
        "shortcut": "identity",
        "factory": None,
        "arguments": {},
    }
    return ModelSettings.of(values | changes)


def dataset_settings(source: str, **changes) -> DatasetSettings:
    values = {
        "name": "images",
        "source": source,
        "path": "data",
        "image_size": None,
        "channels": None,
        "background": "white",
        "validation_fraction": 0.2,
        "split_seed": 0,
        "max_train_samples": None,
        "max_test_samples": None,
    }
    return DatasetSettings.of(values | changes)


def colored_squares(count: int, classes: int, size: int = 32, channels: int = 3, seed: int = 0) -> ImageDataset:
    """A data set a small network learns in seconds: class = brightness of a noisy image."""
    random = torch.Generator().manual_seed(seed)

    def split(n: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(n) % classes
        level = labels.float() / classes * 200
        noise = torch.randn(n, channels, size, size, generator=random) * 20
        return (level[:, None, None, None] + 28 + noise).clamp(0, 255).to(torch.uint8), labels

    train_images, train_labels = split(count)
    test_images, test_labels = split(count // 2)
    index = torch.arange(count)
    return ImageDataset(
        name="squares",
        classes=tuple(f"class{k}" for k in range(classes)),
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        train_index=index[index % 5 != 0],
        validation_index=index[index % 5 == 0],
        mean=torch.full((channels,), 0.5),
        std=torch.full((channels,), 0.25),
    )


class Network(nn.Module):
    """Layers by name and a function that applies them."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.function = forward

    def forward(self, x):
        return self.function(self, x)
