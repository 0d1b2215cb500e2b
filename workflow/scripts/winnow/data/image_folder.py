"""The user's own images: train/CLASS/*.jpg with test/ (or val/), in a directory, a .zip or a .tar."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from winnow.config.catalog import SOURCES
from winnow.config.settings import DatasetSettings
from winnow.data.images import Images
from winnow.errors import WinnowError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
_TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class _Member:
    split: str
    label: str


def read(settings: DatasetSettings) -> tuple[Images, Images]:
    """Return the training and the test images of a folder or an archive, uint8 [N, C, size, size].

    Raises:
        WinnowError: as `read_image_folder`.
    """
    size, channels = settings.image_size or SOURCES[settings.source].image_size, settings.channels or 3
    splits = read_image_folder(Path(settings.path), size=size, channels=channels)
    return Images(*splits["train"]), Images(*splits["test"])


def read_image_folder(
    path: Path, *, size: int, channels: int
) -> dict[str, tuple[np.ndarray, np.ndarray, tuple[str, ...]]]:
    """Decode every image, crop it to a square around its centre and resize it.

    Args:
        path: a directory or an archive; a single top-level folder around train/ and test/ is skipped.
        size: height and width of the result in pixels.
        channels: 3 (RGB) or 1 (luma).

    Returns:
        {"train" | "test": (uint8 [N, channels, size, size], int64 [N], class names)}, images in the order of
        their names, so that the result does not depend on the file system or the archiver.

    Raises:
        WinnowError: no such structure, an empty class, a class in one split only, or an unreadable image;
            the message names the file or folder.
    """
    if not path.exists():
        raise WinnowError(f"image folder {path}: does not exist; set the data set's path")
    files, folders = _listing(path)
    members, classes = _structure(path, files, folders)
    position: dict[str, int] = {}
    counts: defaultdict[str, int] = defaultdict(int)
    for name in sorted(members):
        position[name] = counts[members[name].split]
        counts[members[name].split] += 1
    pixels = {split: np.empty((count, channels, size, size), np.uint8) for split, count in counts.items()}
    labels = {split: np.empty(count, np.int64) for split, count in counts.items()}
    for name, content in _contents(path, members):
        member = members[name]
        pixels[member.split][position[name]] = _decode(content, f"{path}: {name}", size, channels)
        labels[member.split][position[name]] = classes.index(member.label)
    return {split: (pixels[split], labels[split], classes) for split in ("train", "test")}


def _listing(path: Path) -> tuple[list[str], list[str]]:
    """Return the files and the folders below a directory or in an archive, as /-separated names."""
    try:
        if path.is_dir():
            found = [(entry.relative_to(path).as_posix(), entry.is_dir()) for entry in path.rglob("*")]
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found = [(info.filename.rstrip("/"), info.is_dir()) for info in archive.infolist()]
        else:
            with tarfile.open(path) as archive:
                found = [(info.name.removeprefix("./"), info.isdir()) for info in archive]
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise WinnowError(f"image folder {path}: neither a directory nor a readable .zip or .tar ({error})") from error
    visible = [(name, folder) for name, folder in found if not _hidden(name)]
    return [n for n, folder in visible if not folder], [n for n, folder in visible if folder]


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _structure(path: Path, files: list[str], folders: list[str]) -> tuple[dict[str, _Member], tuple[str, ...]]:
    """Sort files into splits and classes, and check that every class is in both splits and has images."""
    all_folders = set(folders)
    for name in files:
        all_folders.update(str(parent) for parent in PurePosixPath(name).parents)
    roots = sorted((f for f in all_folders if PurePosixPath(f).name == "train"), key=lambda f: (f.count("/"), f))
    if not roots:
        raise WinnowError(f"image folder {path}: has no train/ folder; expected train/CLASS/ and test/CLASS/")
    root = PurePosixPath(roots[0]).parent
    tests = [name for name in _TEST_NAMES if str(root / name) in all_folders]
    if not tests:
        raise WinnowError(f"image folder {path}: has train/ but neither test/ nor val/; add the images to test on")
    split_of = {root / "train": "train", root / tests[0]: "test"}
    members: dict[str, _Member] = {}
    images: defaultdict[tuple[str, str], int] = defaultdict(int)
    for found in map(PurePosixPath, all_folders):
        if found.parent in split_of:
            images[split_of[found.parent], found.name] += 0
    for name in files:
        file = PurePosixPath(name)
        for folder, split in split_of.items():
            in_class = folder in file.parents and len(file.parts) > len(folder.parts) + 1
            if in_class and file.suffix.lower() in _SUFFIXES:
                label = file.parts[len(folder.parts)]
                members[name] = _Member(split, label)
                images[split, label] += 1
    _check_classes(path, images, tests[0])
    return members, tuple(sorted({label for _, label in images}))


def _check_classes(path: Path, images: dict[tuple[str, str], int], test: str) -> None:
    folder_of = {"train": "train", "test": test}
    labels = {label for _, label in images}
    if len(labels) < 2:
        raise WinnowError(f"image folder {path}: found {len(labels)} class folders below train/; at least 2 are needed")
    for label in sorted(labels):
        for split, other in (("train", "test"), ("test", "train")):
            folder = f"{folder_of[split]}/{label}"
            if (split, label) not in images:
                raise WinnowError(
                    f"image folder {path}: class {label!r} is in {folder_of[other]}/ only; add {folder}/ or remove it"
                )
            if not images[split, label]:
                raise WinnowError(
                    f"image folder {path}: class folder {folder}/ holds no image; add images or remove it"
                )


def _contents(path: Path, members: dict[str, _Member]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of every member, in the order in which the medium reads fastest."""
    name = ""
    try:
        if path.is_dir():
            for name in members:
                yield name, (path / name).read_bytes()
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in members:
                    yield name, archive.read(name)
        else:
            with tarfile.open(path) as archive:
                for info in archive:
                    name = info.name.removeprefix("./")
                    if name in members:
                        yield name, _extracted(archive, info)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise WinnowError(f"image folder {path}: {name} cannot be read ({error}); replace or remove it") from error


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    if file is None:
        raise tarfile.TarError("it is no file")
    return file.read()


def _decode(content: bytes, name: str, size: int, channels: int) -> np.ndarray:
    """Return uint8 [channels, size, size]."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (size, size))  # lets JPEG decode at a reduced scale, never below `size`
            upright = ImageOps.exif_transpose(image).convert("RGB" if channels == 3 else "L")
            if upright.size != (size, size):
                upright = ImageOps.fit(upright, (size, size), Image.Resampling.BICUBIC)
            pixels = np.asarray(upright)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise WinnowError(f"{name} is not a readable image ({error}); replace or remove it") from error
    return pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]
