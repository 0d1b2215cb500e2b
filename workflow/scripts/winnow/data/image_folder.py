"""The user's own images: train/CLASS/*.jpg with test/ (or val/), in a directory, a .zip or a .tar."""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from winnow.config.settings import DatasetSettings
from winnow.data.ahead import ahead
from winnow.data.archives import medium_of
from winnow.data.decode import Deep, Picture, decode, scaled, shared_range
from winnow.data.fitting import Fitting
from winnow.data.images import SPLITS, Sink, Source, Wanted, counted
from winnow.data.layout import Layout, layout_of
from winnow.data.names import class_name
from winnow.errors import WinnowError
from winnow.text import shown

_LOG = logging.getLogger(__name__)
_HALF = 128  # of what 8 bits hold
_WAITING = 4  # images that are decoded ahead, by thread


def open_source(settings: DatasetSettings) -> Source:
    """Return the images of a folder or an archive, none of which is read yet.

    Raises:
        WinnowError: no such structure, an empty class, a class in one split only, or other classes than configured.
    """
    return ImageFolder(settings)


@dataclass
class _Notes:
    """What has been seen of images.

    Attributes:
        frames: how many have several.
        narrowed, narrowed_first, narrowed_most: of how many colours half the bits are read, the first name of them, and
            the largest value.
        deep: how the values of deep images lie, by name.
        constant: how many come out in one colour, by split and label.
    """

    frames: int = 0
    narrowed: int = 0
    narrowed_first: str = ""
    narrowed_most: int = 0
    deep: dict[str, Any] = field(default_factory=dict)
    constant: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, picture: Picture) -> None:
        self.frames += picture.frames
        if picture.narrowed:
            self.narrowed_first = min(filter(None, (self.narrowed_first, name)))
            self.narrowed_most = max(self.narrowed_most, int(picture.pixels.max()))
            self.narrowed += 1
        if picture.deep:
            self.deep[name] = asdict(picture.deep)

    def plain(self) -> dict[str, Any]:
        return {**vars(self), "constant": dict(self.constant)}


class ImageFolder:
    """A folder or an archive; see `Source`. The order of images is that of their names, whatever the file system's."""

    def __init__(self, settings: DatasetSettings) -> None:
        path = Path(settings.path)
        self.path, self._medium = path, medium_of(path)
        self._layout = layout_of(path, self._medium.entries())
        _report(path, self._layout)
        self.classes = _ordered(self._layout.classes, settings.classes, path)
        self.fitting = Fitting.of(settings, files=True)
        if self.fitting.size is None:
            raise ValueError(f"data set {settings.name}: a folder of images needs a size")
        self.shape = (settings.channels or 3, *self.fitting.size)
        label_of = {name: label for label, name in enumerate(self.classes)}
        self._names: dict[str, list[str]] = {split: [] for split in SPLITS}
        for name in sorted(self._layout.members):
            self._names[self._layout.members[name].split].append(name)
        self.labels = {
            split: np.array([label_of[self._layout.members[name].label] for name in names], np.int64)
            for split, names in self._names.items()
        }

    def read(self, wanted: Wanted, sink: Sink, threads: int) -> None:
        """Decode images into a sink, and say what of them is unusual.

        Raises:
            WinnowError: an unreadable image, one whose range is not defined, or a class of which nothing is seen; names
                the file or folder.
        """
        place = {
            name: (split, position)
            for split, names in self._names.items()
            for position, (name, use) in enumerate(zip(names, wanted[split].tolist(), strict=True))
            if use
        }
        notes = _Notes(**sink.notes) if sink.notes else _Notes()
        notes.constant = Counter(notes.constant)
        names = self._medium.ordered(sorted(place))
        for number, (name, picture, counts) in enumerate(self._decoded(names[sink.done :], threads), sink.done + 1):
            notes.add(name, picture)
            if counts is not None:
                self._place(sink, notes, place[name], picture.pixels, counts)
            sink.reached(number, notes.plain)
        if notes.frames:
            _LOG.info("%d images have several frames; the first is used", notes.frames)
        self._check_narrowed(notes)
        self._place_deep(sink, notes, place, threads)
        self._check_constant(notes, wanted)

    def _decoded(self, names: list[str], threads: int) -> Iterator[tuple[str, Picture, np.ndarray | None]]:
        """Yield images by name, and the counts of their values where these are known yet."""
        open_image = partial(decode, fitting=self.fitting, channels=self.shape[0])

        def work(item: tuple[str, bytes]) -> tuple[str, Picture, np.ndarray | None]:
            name, content = item
            picture = open_image(content, f"{self.path}: {name}")
            return name, picture, None if picture.deep else counted(picture.pixels)

        return ahead(work, self._medium.contents(names), threads=threads, waiting=_WAITING * threads)

    def _place(self, sink: Sink, notes: _Notes, place: tuple[str, int], pixels: np.ndarray, counts: np.ndarray) -> None:
        split, position = place
        if counts.max(1).min() == pixels[0].size:
            notes.constant[f"{split} {self.labels[split][position]}"] += 1
        sink.place(split, position, pixels, counts)

    def _check_narrowed(self, notes: _Notes) -> None:
        """Refuse colours of 16 bits that fill a part of them only: the upper half of the bits is too little of it."""
        if notes.narrowed and notes.narrowed_most < _HALF:
            raise WinnowError(
                f"{self.path}: {shown(notes.narrowed_first)} and all {notes.narrowed} images with 16 bits a colour "
                "use less than half of that range, and the lower 8 bits are not read; convert the images to 8 bits"
            )

    def _place_deep(self, sink: Sink, notes: _Notes, place: dict[str, tuple[str, int]], threads: int) -> None:
        """Scale deep images by the range their file states, or by that which all others of their kind share.

        They are decoded again: kept until their range is known, they could take all memory.
        """
        deep = {name: Deep(**values) for name, values in notes.deep.items()}
        shared = {}
        for whole in (True, False):
            kind = {f"{self.path}: {name}": image for name, image in deep.items() if image.whole == whole}
            silent = {name: image for name, image in kind.items() if not image.stated}
            if silent:
                shared[whole] = shared_range(silent)
                text = "%d images with deep pixels are scaled from %g..%g, the range they share"
                _LOG.info(text, len(silent), *shared[whole])
        for name, picture, _ in self._decoded(self._medium.ordered(sorted(deep)), threads):
            low, high = deep[name].stated or shared[deep[name].whole]
            pixels = scaled(picture.pixels, low, high, self.shape[0])
            self._place(sink, notes, place[name], pixels, counted(pixels))

    def _check_constant(self, notes: _Notes, wanted: Wanted) -> None:
        """Warn of images of one colour; refuse a class that has no others."""
        for split, tested in (("train", "train"), ("test", self._layout.tested)):
            totals = np.bincount(self.labels[split][wanted[split]], minlength=len(self.classes))
            for label, name in enumerate(self.classes):
                number, folder = notes.constant[f"{split} {label}"], f"{tested}/{name}/"
                if number and number == totals[label]:
                    raise WinnowError(
                        f"image folder {self.path}: all {number} images of {folder} come out in one colour, with "
                        "nothing to see; check their range, and `background` if they are transparent"
                    )
                if number:
                    _LOG.warning("%d of %d images of %s come out in one colour", number, totals[label], folder)


def _report(path: Path, layout: Layout) -> None:
    """Log what is used, and what is left out for which reason."""
    ignored = layout.ignored.total()
    _LOG.info("image folder %s: %d images used, %d files ignored", path, len(layout.members), ignored)
    for reason, count in sorted(layout.ignored.items()):
        _LOG.info("ignored %d: %s", count, reason)
    if layout.tested != "test":
        _LOG.info("%s/ is the test split", layout.tested)


def _ordered(found: tuple[str, ...], wanted: tuple[str, ...] | None, path: Path) -> tuple[str, ...]:
    """Return the classes in the order that is asked for.

    Raises:
        WinnowError: they are others than there are.
    """
    if wanted is None:
        return found
    order = tuple(map(class_name, wanted))
    if extra := [name for name in order if name not in set(found)]:
        near = difflib.get_close_matches(extra[0], found, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f", but {', '.join(map(shown, found[:5]))}"
        raise WinnowError(f"image folder {path}: has no class {extra[0]!r}, which `classes` lists{hint}")
    if missing := [name for name in found if name not in set(order)]:
        raise WinnowError(f"image folder {path}: has class {missing[0]!r}, which `classes` does not list; add it there")
    return order
