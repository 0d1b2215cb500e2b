"""From a source of images to a prepared data set: limited, split, with the statistics of its channels."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from winnow.config.settings import DatasetSettings
from winnow.data.dataset_file import DatasetFile
from winnow.data.images import SPLITS, Source
from winnow.data.sources import open_source
from winnow.errors import WinnowError
from winnow.partial import Partial, resumable

_LOG = logging.getLogger(__name__)
_SAVE_SECONDS = 30.0
_LEAST_STD = 1e-3  # a constant channel stays finite


def prepare(settings: DatasetSettings, path: str | Path, definition: str, *, key: str, threads: int) -> None:
    """Read a data set from its source, limit it and split it, and write it; log what is used of every class.

    The validation split is stratified, and `max_train_samples` / `max_test_samples` are class-balanced; both
    are functions of `split_seed`. Images go to the file as they are decoded: memory does not grow with their number. A
    killed preparation resumes where it was half a minute before.

    Args:
        path: to write to; see `load_dataset`.
        definition: digest of the settings, for the header.
        key: of all that the content depends on; what an attempt under another one has written is not used.
        threads: that decode.

    Raises:
        WinnowError: an unreadable or unfit source, or a class too small to be split.
    """
    source = open_source(settings)
    parts = _parts(source, settings)
    _report(source, parts)
    metadata = {"name": settings.name, "classes": json.dumps(source.classes), "definition": definition}
    metadata["fitting"] = json.dumps(source.fitting.facts)
    values = {f"{split}_labels": source.labels[split][parts.used[split]] for split in SPLITS}
    values |= {"train_index": parts.train, "validation_index": parts.validation}
    channels = source.shape[0]
    shapes = {name: ("int64", array.shape) for name, array in values.items()}
    shapes |= dict.fromkeys(("mean", "std"), ("float32", (channels,)))
    shapes |= {f"{split}_images": ("uint8", (int(parts.used[split].sum()), *source.shape)) for split in SPLITS}
    with (
        resumable(path, key) as partial,
        DatasetFile(partial.temporary, shapes, metadata, keep=partial.state is not None) as file,
    ):
        images = _Images(file, partial, parts, channels, settings.name)
        source.read(parts.used, images, threads)
        for name, array in (values | images.statistics()).items():
            file.put(name, array)
        file.seal()


@dataclass(frozen=True)
class _Parts:
    """Which images are used, and for what.

    Attributes:
        used: by split of the source, bool [N].
        train, validation: int64 positions in the training images that are used.
    """

    used: dict[str, np.ndarray]
    train: np.ndarray
    validation: np.ndarray


class _Images:
    """Takes images into their rows of a file, adds up the values of those to train on, and saves how far it is."""

    def __init__(self, file: DatasetFile, partial: Partial, parts: _Parts, channels: int, name: str) -> None:
        self._file, self._partial = file, partial
        self._row = {split: np.cumsum(used) - 1 for split, used in parts.used.items()}
        self._trained = np.zeros(int(parts.used["train"].sum()), bool)
        self._trained[parts.train] = True
        state: dict[str, Any] = partial.state or {"done": 0, "notes": None, "counts": [[0] * 256] * channels}
        self.done, self.notes = state["done"], state["notes"]
        self._counts = np.array(state["counts"], np.int64)
        total = sum(int(used.sum()) for used in parts.used.values())
        self._bar = tqdm(total=total, initial=self.done, desc=name, unit=" images", leave=False, disable=None)
        self._begin = self._saved = time.monotonic()
        if self.done:
            _LOG.info("data set %s: resuming after %d of %d images", name, self.done, total)

    def place(self, split: str, position: int, pixels: np.ndarray, counts: np.ndarray) -> None:
        """Write an image; see `Sink`."""
        row = int(self._row[split][position])
        self._file.put(f"{split}_images", pixels, row)
        if split == "train" and self._trained[row]:
            self._counts += counts

    def reached(self, done: int, notes: Callable[[], dict[str, Any]] | None = None) -> None:
        """Save how far it is, if that was long ago; see `Sink`."""
        self._bar.update(done - self._bar.n)
        if time.monotonic() - self._saved < _SAVE_SECONDS:
            return
        self._file.sync()
        self._partial.save({"done": done, "notes": notes and notes(), "counts": self._counts.tolist()})
        self._saved = time.monotonic()
        rate = (done - self.done) / (self._saved - self._begin)
        _LOG.info("%d of %d images are read, %.0f a second", done, self._bar.total, rate)

    def statistics(self) -> dict[str, np.ndarray]:
        """Return the exact mean and standard deviation of each channel of the training split, in 0..1: float32 [C].

        They come from the counts of the 256 values.
        """
        self._bar.close()
        values = np.arange(256) / 255
        means = [np.average(values, weights=counts) for counts in self._counts]
        pairs = zip(means, self._counts, strict=True)
        std = np.sqrt([np.average((values - mean) ** 2, weights=counts) for mean, counts in pairs]).astype(np.float32)
        return {"mean": np.array(means, np.float32), "std": std.clip(min=np.float32(_LEAST_STD))}


def _parts(source: Source, settings: DatasetSettings) -> _Parts:
    generator = np.random.default_rng(settings.split_seed)
    limits = dict(zip(SPLITS, ("max_train_samples", "max_test_samples"), strict=True))
    used = {split: _balanced(source, split, settings, key, generator) for split, key in limits.items()}
    labels = source.labels["train"][used["train"]]
    train, validation = [], []
    for label, name in enumerate(source.classes):  # the same share of each class
        members = generator.permutation(np.flatnonzero(labels == label))
        count = max(1, round(settings.validation_fraction * len(members)))
        if count >= len(members):
            raise WinnowError(
                f"data set {settings.name}: class {name!r} has {len(members)} training images, "
                "too few to set a validation split aside; add images"
            )
        validation.append(members[:count])
        train.append(members[count:])
    return _Parts(used, np.sort(np.concatenate(train)), np.sort(np.concatenate(validation)))


def _balanced(
    source: Source, split: str, settings: DatasetSettings, key: str, generator: np.random.Generator
) -> np.ndarray:
    """Choose at most as many images of a split as a key says, as many of each class as possible: bool [N]."""
    limit: int | None = getattr(settings, key)
    labels, classes = source.labels[split], len(source.classes)
    if limit is None or limit >= len(labels):
        return np.ones(len(labels), bool)
    if limit < classes:
        raise WinnowError(
            f"data set {settings.name}: {key} {limit} is below one image for each of {classes} classes; raise it"
        )
    members = [generator.permutation(np.flatnonzero(labels == label)) for label in range(classes)]
    quota, left = np.zeros(classes, dtype=int), limit
    while left:  # small classes give what they have, the others share the rest
        open_classes = [k for k in range(classes) if quota[k] < len(members[k])]
        for k in open_classes[:left]:
            quota[k] += 1
        left -= min(left, len(open_classes))
    used = np.zeros(len(labels), bool)
    used[np.concatenate([m[:q] for m, q in zip(members, quota, strict=True)])] = True
    return used


def _report(source: Source, parts: _Parts) -> None:
    """Log how many images of every class were found, and how many are used for what."""
    train, test = source.labels["train"][parts.used["train"]], source.labels["test"][parts.used["test"]]
    labels = (*source.labels.values(), train[parts.train], train[parts.validation], test)
    counts = [np.bincount(of_split, minlength=len(source.classes)) for of_split in labels]
    text = "class %s: %d training and %d test images found; used: %d to train, %d to validate, %d to test"
    for label, name in enumerate(source.classes):
        _LOG.info(text, name, *(count[label] for count in counts))
