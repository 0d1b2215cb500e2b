"""Small image folders and archives, and the many ways to spoil them."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Damage = Callable[[Path], object]


def picture(level: int, mode: str = "RGB", size: int = 8) -> Image.Image:
    """Return an image that is not of one colour, about as bright as `level`."""
    ramp = np.clip(level + np.arange(size * size).reshape(size, size) % 7 * 6, 0, 255).astype(np.uint8)
    return Image.fromarray(ramp).convert(mode)


def encoded(image: Image.Image, suffix: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def make_folder(root: Path) -> Path:
    """Write train/ and test/ with the classes cat (dark) and dog (bright), five and two images each."""
    for split, count in (("train", 5), ("test", 2)):
        for label, level in (("cat", 50), ("dog", 180)):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                picture(level + number).save(folder / f"{number}.png")
    return root


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def make_zip(root: Path, path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files_of(root).items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path


def make_tar(root: Path, path: Path, mode: str = "w", **members: tarfile.TarInfo) -> Path:
    """Pack a folder; further members come last."""
    with tarfile.open(path, mode) as archive:
        for name, content in files_of(root).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in members.values():
            archive.addfile(info)
    return path


def tar_member(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def zip_with(root: Path, path: Path, **changes: int) -> Path:
    """Pack a folder and change fields of the last member's entry in the directory of the archive.

    Args:
        changes: value by field: flags, method, crc, compressed, size or attributes.
    """
    content = bytearray(make_zip(root, path, zipfile.ZIP_STORED).read_bytes())
    entry, local = content.rindex(b"PK\x01\x02"), content.rindex(b"PK\x03\x04")
    places = {
        "flags": ("<H", 8, 6),
        "method": ("<H", 10, 8),
        "crc": ("<I", 16, 14),
        "compressed": ("<I", 20, 18),
        "size": ("<I", 24, 22),
        "attributes": ("<I", 38, None),
        "system": ("<B", 5, None),
    }
    for field, value in changes.items():
        kind, in_directory, in_header = places[field]
        struct.pack_into(kind, content, entry + in_directory, value)
        if in_header is not None:
            struct.pack_into(kind, content, local + in_header, value)
    path.write_bytes(content)
    return path


def zip_link(root: Path, path: Path) -> Path:
    """Pack a folder with the last member a symbolic link, as `zip -y` writes it."""
    return zip_with(root, path, attributes=(stat.S_IFLNK | 0o777) << 16, system=3)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, place: float, count: int = 40) -> Path:
    """Spoil some bytes of a file at a share of its length."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * place)
    for position in range(start, min(start + count, len(content))):
        content[position] ^= 0xFF
    path.write_bytes(content)
    return path


def png_header(width: int, height: int) -> bytes:
    """Return a PNG of so many pixels of which no data follows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def png16(values: np.ndarray) -> bytes:
    """Return a PNG of 16 bits and three colours, which Pillow cannot write.

    Args:
        values: uint16 [H, W, 3].
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def every(root: Path, make: Callable[[int], Image.Image], suffix: str, **options: object) -> None:
    """Replace every image by one that is made from its brightness, in a format."""
    for path in sorted(root.rglob("*.png")):
        level = int(np.asarray(Image.open(path)).min())
        path.unlink()
        make(level).save(path.with_suffix(suffix), **options)


def rename_bytes(root: Path, old: str, new: bytes) -> None:
    """Give a folder a name that need not be text."""
    (root / old).rename(root / os.fsdecode(new))
