"""Which image of a listing belongs to which split and class, and what is left out for which reason.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from winnow.data.formats import suffixes
from winnow.data.medium import Entry
from winnow.data.names import class_name, hidden, unfit
from winnow.errors import WinnowError
from winnow.text import shown

_TEST_NAMES = ("test", "val", "valid", "validation")


class Member(NamedTuple):
    """An image that is used; `split` is train or test."""

    split: str
    label: str
    size: int
    stamp: int


@dataclass(frozen=True)
class Layout:
    """What of a listing is used.

    Attributes:
        members: by name.
        classes: their names, sorted.
        tested: the folder that is the test split, e.g. val.
        ignored: entries left out, counted by reason.
    """

    members: dict[str, Member]
    classes: tuple[str, ...]
    tested: str
    ignored: Counter[str]


def layout_of(path: Path, entries: Iterable[Entry]) -> Layout:
    """Sort images into splits and classes, and check that every class is in both splits and has images.

    Args:
        path: named in errors.

    Raises:
        WinnowError: one line; no such structure, an empty class, a class in one split only, an image in no class, or
            one that cannot be opened.
    """
    return _Reader(path, entries).layout()


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""


class _Reader:
    """One reading of a listing.

    Attributes:
        images: entries with the suffix of an image.
        others: all other files.
        folders: names, also of those that hold files but are not listed, as in archives.
    """

    def __init__(self, path: Path, entries: Iterable[Entry]) -> None:
        self.path = path
        self.ignored: Counter[str] = Counter()
        self.images: list[Entry] = []
        self.others: list[Entry] = []
        self.folders: set[str] = {""}
        readable = suffixes()
        for entry in entries:
            if hidden(entry.name):
                self.ignored["its name, or that of a folder around it, begins with a dot or is __MACOSX"] += 1
            elif entry.folder:
                self.folders.add(entry.name)
            elif _suffix(entry.name) in readable:
                self.images.append(entry)
            else:
                self.others.append(entry)
        for entry in (*self.images, *self.others):
            self._add_folders(entry.name)
        for name in list(self.folders):
            self._add_folders(name)

    def _add_folders(self, name: str) -> None:
        while name and (name := name.rpartition("/")[0]) not in self.folders:
            self.folders.add(name)

    def error(self, text: str) -> WinnowError:
        return WinnowError(f"image folder {self.path}: {text}")

    def layout(self) -> Layout:
        root = self._root()
        listed = self._labelled(root)
        tested = self._tested(root, listed)
        split_of = {"train": "train", tested: "test"}
        self._check_loose(root, split_of)
        members = dict(self._members(root, split_of))
        counts: dict[tuple[str, str], int] = Counter((member.split, member.label) for member in members.values())
        for folder, split in split_of.items():
            for label in self._class_folders(f"{root}{folder}"):
                counts.setdefault((split, label), 0)
        self._count_others(root, split_of)
        self._check_classes(counts, root, tested)
        return Layout(members, tuple(sorted({label for _, label in counts})), tested, self.ignored)

    def _root(self) -> str:
        """Return the folder around train/, "" or with a / at its end."""
        trains = sorted(
            (name for name in self.folders if name.rpartition("/")[2] == "train"), key=lambda f: (f.count("/"), f)
        )
        if not trains:
            tops = sorted({name.partition("/")[0] for name in self.folders} - {""})
            found = f" (its folders: {', '.join(map(shown, tops[:5]))})" if tops else ""
            raise self.error(f"has no train/ folder; expected train/CLASS/ and test/CLASS/{found}")
        first = trains[0]
        root = first.removesuffix("train")
        own = tuple(f"{root}{name}/" for name in ("train", *_TEST_NAMES))  # a class may be called train
        for other in trains[1:]:
            if not other.startswith(own) and any(image.name.startswith(f"{other}/") for image in self.images):
                raise self.error(
                    f"has two train/ folders, {shown(first)}/ and {shown(other)}/; remove one, or set the data set's "
                    "path to the folder around the right one"
                )
        return root

    def _labelled(self, root: str) -> dict[str, set[str]]:
        """Return, by split folder, the classes it has images of."""
        labels: defaultdict[str, set[str]] = defaultdict(set)
        for image in self.images:
            if image.name.startswith(root):
                folder, _, rest = image.name[len(root) :].partition("/")
                label, inside, _ = rest.partition("/")
                if inside:
                    labels[folder].add(class_name(label))
        return labels

    def _tested(self, root: str, labels: dict[str, set[str]]) -> str:
        """Return the folder of the test split: the first that has classes of train/."""
        present = [name for name in _TEST_NAMES if f"{root}{name}" in self.folders]
        if not present:
            raise self.error("has train/ but neither test/ nor val/; add the images to test on")
        train = labels.get("train", set())
        return next((name for name in present if labels.get(name, set()) & train), present[0])

    def _check_loose(self, root: str, split_of: dict[str, str]) -> None:
        """Refuse images that lie in a split but in no class."""
        for folder in split_of:
            start = f"{root}{folder}/"
            loose = [image.name for image in self.images if image.name.rpartition("/")[0] == start[:-1]]
            if loose:
                more = f" and {len(loose) - 1} more" if len(loose) > 1 else ""
                raise self.error(
                    f"{shown(min(loose))}{more} in no class; put images into {folder}/CLASS/, a folder for each class"
                )

    def _members(self, root: str, split_of: dict[str, str]) -> Iterator[tuple[str, Member]]:
        for image in self.images:
            folder, _, rest = image.name[len(root) :].partition("/") if image.name.startswith(root) else ("", "", "")
            if folder in split_of:
                if image.problem:
                    raise self._unreadable(image)
                label = rest.partition("/")[0]
                if unfit(label):
                    raise self._unfit(f"{root}{folder}/{label}")
                yield image.name, Member(split_of[folder], class_name(label), image.size, image.stamp)
            elif folder in _TEST_NAMES:
                self.ignored[f"image in {folder}/, which is not used beside {self._used(split_of)}/"] += 1
            else:
                self.ignored["image outside train/ and the test split"] += 1

    @staticmethod
    def _used(split_of: dict[str, str]) -> str:
        return next(folder for folder, split in split_of.items() if split == "test")

    def _unreadable(self, entry: Entry) -> WinnowError:
        return self.error(f"{shown(entry.name)} cannot be read ({entry.problem}); replace or remove it")

    def _unfit(self, folder: str) -> WinnowError:
        return self.error(
            f"class folder {shown(folder)}/: a name of a class is one line of UTF-8 text without control characters; "
            "rename it"
        )

    def _class_folders(self, split_folder: str) -> Iterator[str]:
        for folder in self.folders:
            around, _, label = folder.rpartition("/")
            if around == split_folder and label:
                if unfit(label):
                    raise self._unfit(folder)
                yield class_name(label)

    def _count_others(self, root: str, split_of: dict[str, str]) -> None:
        """Count files that are no images; one in a class that cannot even be looked at is an error."""
        used = tuple(f"{root}{folder}/" for folder in split_of)
        for entry in self.others:
            suffix = _suffix(entry.name)
            if entry.problem and not suffix and entry.name.startswith(used):
                raise self._unreadable(entry)
            kind = f"no image by its suffix {shown(suffix)}" if suffix else "no image by its name, without a suffix"
            around = entry.name[len(root) :].split("/")[:2] if entry.name.startswith(used) else ()
            self.ignored[kind + (f", in {shown('/'.join(around))}/" if len(around) == 2 else "")] += 1

    def _check_classes(self, images: dict[tuple[str, str], int], root: str, tested: str) -> None:
        folder_of = {"train": "train", "test": tested}
        labels = sorted({label for _, label in images})
        if len(labels) < 2:
            raise self.error(f"found {len(labels)} class folders below train/; at least 2 are needed")
        for label in labels:
            for split, other in (("train", "test"), ("test", "train")):
                folder = f"{folder_of[split]}/{label}"
                if (split, label) not in images:
                    raise self.error(f"class {label!r} is in {folder_of[other]}/ only; add {folder}/ or remove it")
                if not images[split, label]:
                    instead = self._instead(f"{root}{folder}/")
                    raise self.error(f"class folder {folder}/ holds no image{instead}; add images or remove it")

    def _instead(self, start: str) -> str:
        """Say what a class folder holds if no image."""
        kinds = Counter(_suffix(entry.name) or "no suffix" for entry in self.others if entry.name.startswith(start))
        return f" but files with {', '.join(map(shown, sorted(kinds)))}" if kinds else ""
