"""A user's images in a .zip or a .tar: what is there, and the bytes of some of it.

Members are read, never unpacked: a name that leads outside the archive does no harm. Imported by the Snakefile, so it
must not import torch.
"""

from __future__ import annotations

import lzma
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Self

from winnow.data.medium import Directory, Entry, Medium, too_large
from winnow.errors import WinnowError
from winnow.text import shown

_DAMAGED = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, OverflowError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED = 0x1
_END = tarfile.EOFHeaderError  # type: ignore[attr-defined]  # typeshed lacks it


class Zip(Medium):
    """A zip archive."""

    def entries(self) -> Iterator[Entry]:
        for name, info in self._members.items():
            yield Entry(name, info.is_dir(), info.file_size, info.CRC, _problem_in_zip(info))

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        name = ""
        try:
            with zipfile.ZipFile(self.path) as archive:
                for name in names:
                    yield name, archive.read(self._members[name])
        except _DAMAGED as error:
            raise self.unreadable(name, error) from error

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                infos = archive.infolist()
        except _DAMAGED as error:
            raise _no_medium(self.path, error) from error
        foreign = not any("/" in info.filename for info in infos)  # packed by a program that divides by backslashes
        return {_plain(info.filename.replace("\\", "/") if foreign else info.filename): info for info in infos}


def _problem_in_zip(info: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a link; pack what it leads to, zip does so without -y"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted; pack it without a password"
    if info.compress_type not in _METHODS:
        return f"its compression, method {info.compress_type}, is unknown; pack it with deflate"
    return too_large(info.file_size)


class _WholeTarInfo(tarfile.TarInfo):
    """A header of a tar, read so that an archive that ends before its end mark is an error and not a short archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if isinstance(error, _END) or archive.offset == 0:
                raise  # all is well; or it is no tar at all, or another compression is to be tried
            raise tarfile.ReadError(f"cut off or damaged after {archive.offset} bytes: {error}") from error


class Tar(Medium):
    """A tar archive, compressed or not."""

    def entries(self) -> Iterator[Entry]:
        for name, info in self._members.items():
            target, problem = _followed(self._members, name, info)
            folder = target.isdir() and not problem
            problem = problem or ("" if folder else too_large(target.size))
            yield Entry(name, folder, target.size, int(target.mtime * 10**9), problem)

    def ordered(self, names: Collection[str]) -> list[str]:
        return sorted(names, key=lambda name: _followed(self._members, name, self._members[name])[0].offset_data)

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        name = ""
        try:
            with tarfile.open(self.path) as archive:
                for name in names:
                    info = _followed(self._members, name, self._members[name])[0]
                    file = archive.extractfile(info)
                    content = file.read() if file else b""
                    if len(content) < info.size:
                        raise EOFError("the archive ends within it")
                    yield name, content
        except _DAMAGED as error:
            raise self.unreadable(name, error) from error

    @cached_property
    def _members(self) -> dict[str, tarfile.TarInfo]:
        try:
            with tarfile.open(self.path, tarinfo=_WholeTarInfo) as archive:
                return {_plain(info.name): info for info in archive}
        except _DAMAGED as error:
            raise _no_medium(self.path, error) from error


def _followed(members: dict[str, tarfile.TarInfo], name: str, info: tarfile.TarInfo) -> tuple[tarfile.TarInfo, str]:
    """Return the file or folder that a member is or links to, and why there is none."""
    passed = {name}
    while info.issym() or info.islnk():
        start = posixpath.dirname(name) if info.issym() else ""
        name = _plain(posixpath.normpath(f"{start}/{info.linkname}" if start else info.linkname))
        if name in passed:
            return info, "it is a link to itself"
        if name not in members:
            return info, f"it is a link to {shown(info.linkname)}, which the archive does not hold"
        passed.add(name)
        info = members[name]
        if info.isdir():
            return info, "it is a link to a folder; pack what it leads to, tar does so with -h"
    return info, "" if info.isfile() or info.isdir() else "it is no regular file"


def _plain(name: str) -> str:
    """Return a name without a leading ./ or /, and without the / that marks a folder."""
    while name.startswith(("./", "/")):
        name = name.removeprefix("./").removeprefix("/")
    return name.rstrip("/") if name != "." else ""


def _no_medium(path: Path, error: Exception) -> WinnowError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return WinnowError(f"image folder {path}: neither a directory nor a readable .zip or .tar ({reason})")


def medium_of(path: Path) -> Medium:
    """Return what lies at a path.

    Raises:
        WinnowError: nothing, or something that holds no files.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return Directory(path)
        if not stat.S_ISREG(status.st_mode):
            raise WinnowError(f"image folder {path}: neither a directory nor a regular file")
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        return Zip(path) if zipped else Tar(path)
    except FileNotFoundError as error:
        raise WinnowError(f"image folder {path}: does not exist; set the data set's path") from error
    except OSError as error:
        raise WinnowError(f"image folder {path}: cannot be opened ({error.strerror})") from error
