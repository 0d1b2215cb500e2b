"""A user's directory of images: what is there, and the bytes of some of it.

Nothing but regular files is opened. Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from winnow.data.names import hidden
from winnow.errors import WinnowError
from winnow.text import shown

_MOST_BYTES = 2**29  # of one image file; a larger one is no photograph, or is made to fill the memory


class Entry(NamedTuple):
    """A file or folder.

    Attributes:
        name: below the directory or in the archive, parts divided by /.
        size: bytes; 0 for a folder.
        stamp: when it was changed (ns), or its checksum.
        problem: why it cannot be opened; "" if it can.
    """

    name: str
    folder: bool
    size: int
    stamp: int
    problem: str = ""


class Medium(ABC):
    """A directory or an archive, to be read only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield what is there; of several members of an archive with one name the last counts.

        Raises:
            WinnowError: it cannot be listed whole.
        """

    def ordered(self, names: Collection[str]) -> list[str]:
        """Return names in the order in which the medium reads fastest."""
        return list(names)

    @abstractmethod
    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of some entries, in their order, which is best that of `ordered`.

        Raises:
            WinnowError: names the file that cannot be read.
        """

    def unreadable(self, name: str, error: Exception) -> WinnowError:
        text = getattr(error, "strerror", None) or str(error)
        reason = text.partition("\n")[0] or type(error).__name__
        return WinnowError(f"image folder {self.path}: {shown(name)} cannot be read ({reason}); replace or remove it")


def too_large(size: int) -> str:
    return f"it has {size:,} bytes, more than {_MOST_BYTES:,}" if size > _MOST_BYTES else ""


class Directory(Medium):
    """A directory; links are followed."""

    def entries(self) -> Iterator[Entry]:
        pending: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
        while pending:
            prefix, around = pending.pop()
            try:
                status = (self.path / prefix).stat()
                with os.scandir(self.path / prefix) as listing:
                    found = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                raise WinnowError(
                    f"image folder {self.path}: {shown(prefix) or 'it'} cannot be listed ({error.strerror}); "
                    "give permission to read it, or remove it"
                ) from error
            place = (status.st_dev, status.st_ino)
            if place in around:
                raise WinnowError(
                    f"image folder {self.path}: {shown(prefix)} is a link back to a folder around it; remove it"
                )
            folders = []
            for item in found:
                entry = self._entry(item, prefix)
                yield entry
                if entry.folder and not hidden(item.name):
                    folders.append((f"{entry.name}/", (*around, place)))
            pending += reversed(folders)

    @staticmethod
    def _entry(item: os.DirEntry[str], prefix: str) -> Entry:
        name = prefix + item.name
        try:
            status = item.stat()
        except OSError as error:  # a link to nothing, or to itself
            return Entry(name, False, 0, 0, f"{'link: ' if item.is_symlink() else ''}{error.strerror}")
        if stat.S_ISDIR(status.st_mode):
            return Entry(name, True, 0, 0)
        problem = too_large(status.st_size) if stat.S_ISREG(status.st_mode) else "it is no regular file"
        return Entry(name, False, status.st_size, status.st_mtime_ns, problem)

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            try:
                content = (self.path / name).read_bytes()
            except OSError as error:
                raise self.unreadable(name, error) from error
            yield name, content
