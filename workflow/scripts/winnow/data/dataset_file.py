"""A prepared data set while it is written: the header, then images, each in its place; and what it is known by."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from winnow.files import content_digest, digest, safetensors_header

_TYPES = {"uint8": "U8", "int64": "I64", "float32": "F32"}
_ALIGNED = 8  # bytes
_BLOCK = 2**20  # bytes that are read at a time
_CONTENT = "sha256_of_tensors"  # in the metadata, as hex digits
_UNSEALED = "0" * 2 * hashlib.sha256().digest_size


class DatasetFile:
    """A safetensors file whose tensors are known by shape before their values are.

    Args:
        shapes: of the tensors by name, in their order in the file: type and shape. Wider types come first, so that each
            is aligned.
        metadata: text by name.
        keep: the file has all that already, and some values.
    """

    def __init__(
        self, path: Path, shapes: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str], *, keep: bool
    ) -> None:
        entries: dict[str, object] = {"__metadata__": dict(sorted({**metadata, _CONTENT: _UNSEALED}.items()))}
        self._rows: dict[str, int] = {}
        begin: dict[str, int] = {}
        end = 0
        for name, (kind, shape) in shapes.items():
            size = int(np.prod(shape)) * np.dtype(kind).itemsize
            entries[name] = {"dtype": _TYPES[kind], "shape": list(shape), "data_offsets": [end, end + size]}
            begin[name], end = end, end + size
            self._rows[name] = int(np.prod(shape[1:])) * np.dtype(kind).itemsize
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _ALIGNED)
        self._header = len(text).to_bytes(8, "little") + text
        self._offsets = {name: len(self._header) + offset for name, offset in begin.items()}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not keep:
            # the whole size at once: a disk that is too small says so now, and the parts lie together
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(self._file, 0, len(self._header) + end)
            self._write(self._header, 0)

    def put(self, name: str, values: np.ndarray, row: int = 0) -> None:
        """Write values of a tensor, from one of its rows on. Threads may do so at once."""
        self._write(np.ascontiguousarray(values).tobytes(), self._offsets[name] + row * self._rows[name])

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        os.fsync(self._file)

    def seal(self) -> None:
        """Write into the header what all values are known by, when they are there; see `dataset_digest`."""
        content, place = hashlib.sha256(), len(self._header)
        while block := os.pread(self._file, _BLOCK, place):
            content.update(block)
            place += len(block)
        self._write(self._header.replace(_entry(_UNSEALED), _entry(content.hexdigest())), 0)

    def _write(self, content: bytes, place: int) -> None:
        view = memoryview(content)
        while view:
            count = os.pwrite(self._file, view, place)
            view, place = view[count:], place + count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self._file)


def _entry(content: str) -> bytes:
    return f'"{_CONTENT}":"{content}"'.encode()


def dataset_digest(path: str | Path) -> str:
    """Return what the content of a file is known by: of a prepared data set its header says it, others are read whole.

    Every training run asks for it, of data that may be larger than memory.
    """
    path = Path(path)
    header = safetensors_header(path) if path.suffix == ".safetensors" else {}
    sealed = header.get("__metadata__", {}).get(_CONTENT, _UNSEALED) != _UNSEALED
    return digest(header) if sealed else content_digest(path)
