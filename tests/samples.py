"""Settings and small data sets for tests."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from winnow.config.settings import DatasetSettings, ModelSettings, NormalizationSettings, TrainingSettings
from winnow.data.dataset import ImageDataset, load_dataset
from winnow.data.dataset_file import DatasetFile
from winnow.data.fitting import Fitting
from winnow.data.images import SPLITS, Images, Source
from winnow.data.normalization import Normalization
from winnow.data.prepare import prepare
from winnow.data.sources import open_source
from winnow.study.training import Training
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

TENSORS = (
    *("train_images", "train_labels", "test_images", "test_labels"),
    *("train_index", "validation_index"),
)
"""Of a data set, images and positions."""
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
        "output": None,
    }
    return ModelSettings.of(values | changes)


def dataset_settings(source: str, **changes) -> DatasetSettings:
    values = {
        "name": "images",
        "source": source,
        "path": "data",
        "image_size": None,
        "resize": None,
        "crop": None,
        "interpolation": "bicubic",
        "channels": None,
        "background": "white",
        "upright": True,
        "classes": None,
        "validation_fraction": 0.2,
        "split_seed": 0,
        "max_train_samples": None,
        "max_test_samples": None,
    }
    values |= changes
    for key in ("image_size", "crop"):
        values[key] = [values[key]] * 2 if isinstance(values[key], int) else values[key]
    return DatasetSettings.of(values)


def normalization_settings(**changes) -> NormalizationSettings:
    values = {"mean": None, "std": None, "value_range": 1, "channel_order": "rgb", "stated_by": None}
    return NormalizationSettings.of(values | changes)


def prepared(settings: DatasetSettings, path: Path | None = None) -> ImageDataset:
    """Prepare a data set, in a file that is gone afterwards if none is named, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        file = path or Path(folder) / "images.safetensors"
        prepare(settings, file, "definition", key="key", threads=2)
        return load_dataset(file, normalization_settings())


class Collected:
    """Takes the images of a source into memory."""

    done, notes = 0, None

    def __init__(self, source: Source) -> None:
        self.pixels = {name: np.zeros((len(labels), *source.shape), np.uint8) for name, labels in source.labels.items()}

    def place(self, split, position, pixels, counts) -> None:
        assert counts.sum() == pixels.size
        self.pixels[split][position] = pixels

    def reached(self, done, notes=None) -> None:
        pass


def read_images(settings: DatasetSettings) -> tuple[Images, Images]:
    """Read all images of a source: the training and the test split."""
    source = open_source(settings)
    collected = Collected(source)
    source.read({name: np.ones(len(labels), bool) for name, labels in source.labels.items()}, collected, threads=2)
    first, second = (Images(collected.pixels[name], source.labels[name], source.classes) for name in SPLITS)
    return first, second


def write_dataset(path: Path, data: ImageDataset) -> None:
    """Write a data set as `prepare` does."""
    values = {name: getattr(data, name)[:].numpy() for name in TENSORS}
    values |= {"mean": data.normalization.mean, "std": data.normalization.std}
    shapes = {name: (str(value.dtype), value.shape) for name, value in sorted(values.items(), key=lambda v: v[1].ndim)}
    metadata = {"name": data.name, "classes": json.dumps(data.classes), "definition": "made up"}
    metadata["fitting"] = json.dumps(data.fitting.facts)
    path.unlink(missing_ok=True)
    with DatasetFile(path, shapes, metadata, keep=False) as file:
        for name, value in values.items():
            file.put(name, value)
        file.seal()


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
        normalization=Normalization(np.full(channels, 0.5, np.float32), np.full(channels, 0.25, np.float32)),
        fitting=Fitting(image_size=(size, size), resize=None, crop=None, interpolation="bicubic"),
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
