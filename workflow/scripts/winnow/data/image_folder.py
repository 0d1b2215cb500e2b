"""The user's own images: train/CLASS/*.jpg with test/ (or val/), in a directory, a .zip or a .tar."""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path

import numpy as np

from winnow.config.settings import DatasetSettings
from winnow.data.archives import medium_of
from winnow.data.decode import Deep, decode, scaled, shared_range
from winnow.data.images import Images
from winnow.data.layout import Layout, layout_of
from winnow.errors import WinnowError
from winnow.text import shown

_LOG = logging.getLogger(__name__)
_HALF = 128  # of what 8 bits hold


def read(settings: DatasetSettings) -> tuple[Images, Images]:
    """Return the training and the test images of a folder or an archive, uint8 [N, C, size, size].

    Raises:
        WinnowError: as `read_image_folder`.
    """
    if settings.image_size is None:
        raise ValueError(f"data set {settings.name}: a folder of images needs an image_size")
    return read_image_folder(
        Path(settings.path),
        size=settings.image_size,
        channels=settings.channels or 3,
        background=settings.background,
    )


def read_image_folder(path: Path, *, size: int, channels: int, background: str) -> tuple[Images, Images]:
    """Decode every image, crop it to a square around its centre and resize it; say what was left out.

    Args:
        path: a directory or an archive; folders around train/ and test/ are skipped.
        size: height and width of the result in pixels.
        channels: 3 (RGB) or 1 (luma).
        background: the colour behind what is transparent.

    Returns:
        The train and the test split: pixels uint8 [N, channels, size, size], images in the order of their names, so
        that the result does not depend on the file system or the archiver.

    Raises:
        WinnowError: no such structure, an empty class, a class in one split only, an unreadable image, one whose range
            is not defined, or a class of which nothing is seen; the message names the file or folder.
    """
    medium = medium_of(path)
    layout = layout_of(path, medium.entries())
    _report(path, layout)
    splits = _Splits(path, layout, size, channels)
    for name, content in medium.contents(layout.members):
        splits.add(name, content, background)
    return splits.finished()


def _report(path: Path, layout: Layout) -> None:
    """Log what is used, and what is left out for which reason."""
    ignored = layout.ignored.total()
    _LOG.info("image folder %s: %d images used, %d files ignored", path, len(layout.members), ignored)
    for reason, count in sorted(layout.ignored.items()):
        _LOG.info("ignored %d: %s", count, reason)
    if layout.tested != "test":
        _LOG.info("%s/ is the test split", layout.tested)


class _Splits:
    """Both splits while they are filled."""

    def __init__(self, path: Path, layout: Layout, size: int, channels: int) -> None:
        self.path, self.layout, self.size, self.channels = path, layout, size, channels
        names: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(layout.members):
            names[layout.members[name].split].append(name)
        self.names = names
        self.position = {name: place for split in names.values() for place, name in enumerate(split)}
        self.pixels = {
            split: np.empty((len(of_split), channels, size, size), np.uint8) for split, of_split in names.items()
        }
        self.deep: dict[str, Deep] = {}
        self.values: dict[str, np.ndarray] = {}  # of deep images, until their range is known
        self.narrowed: dict[str, int] = {}  # the largest value of colours of which half the bits are read
        self.frames = 0

    def add(self, name: str, content: bytes, background: str) -> None:
        picture = decode(content, f"{self.path}: {name}", size=self.size, channels=self.channels, background=background)
        self.frames += picture.frames
        if picture.deep:
            self.deep[name], self.values[name] = picture.deep, picture.pixels
        else:
            self._place(name, picture.pixels)
        if picture.narrowed:
            self.narrowed[name] = int(picture.pixels.max())

    def _place(self, name: str, pixels: np.ndarray) -> None:
        self.pixels[self.layout.members[name].split][self.position[name]] = pixels

    def finished(self) -> tuple[Images, Images]:
        if self.frames:
            _LOG.info("%d images have several frames; the first is used", self.frames)
        self._check_narrowed()
        self._scale_deep()
        train, test = (self._images(split) for split in ("train", "test"))
        for split, images in (("train", train), (self.layout.tested, test)):
            _check_constant(self.path, split, images)
        return train, test

    def _check_narrowed(self) -> None:
        """Refuse colours of 16 bits that fill a part of them only: the upper half of the bits is too little of it."""
        if self.narrowed and max(self.narrowed.values()) < _HALF:
            raise WinnowError(
                f"{self.path}: {shown(min(self.narrowed))} and all {len(self.narrowed)} images with 16 bits a colour "
                "use less than half of that range, and the lower 8 bits are not read; convert the images to 8 bits"
            )

    def _scale_deep(self) -> None:
        """Scale deep images by the range their file states, or by that which all others of their kind share."""
        for whole in (True, False):
            kind = {name: deep for name, deep in self.deep.items() if deep.whole == whole}
            silent = {f"{self.path}: {name}": deep for name, deep in kind.items() if not deep.stated}
            shared = shared_range(silent) if silent else (0.0, 1.0)
            if silent:
                _LOG.info(
                    "%d images with deep pixels are scaled from %g..%g, the range they share", len(silent), *shared
                )
            for name, deep in kind.items():
                self._place(name, scaled(self.values.pop(name), *(deep.stated or shared), self.channels))

    def _images(self, split: str) -> Images:
        labels = [self.layout.classes.index(self.layout.members[name].label) for name in self.names[split]]
        return Images(self.pixels[split], np.array(labels, np.int64), self.layout.classes)


def _check_constant(path: Path, split: str, images: Images) -> None:
    """Warn of images of one colour; refuse a class that has no others.

    Raises:
        WinnowError: names the class.
    """
    flat = images.pixels.reshape(*images.pixels.shape[:2], -1)
    constant = (flat.max(2) == flat.min(2)).all(1)
    for label in np.unique(images.labels[constant]):
        of_class = images.labels == label
        number, all_of_them = int((constant & of_class).sum()), int(of_class.sum())
        folder = f"{split}/{images.classes[label]}/"
        if number == all_of_them:
            raise WinnowError(
                f"image folder {path}: all {number} images of {folder} come out in one colour, with nothing to see; "
                "check their range, and `background` if they are transparent"
            )
        _LOG.warning("%d of %d images of %s come out in one colour", number, all_of_them, folder)
