"""A prepared data set while it is written: the header first, then images, each in its place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

_TYPES = {"uint8": "U8", "int64": "I64", "float32": "F32"}
_ALIGNED = 8  # bytes


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
        entries: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
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
        self._offsets = {name: 8 + len(text) + offset for name, offset in begin.items()}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not keep:
            # the whole size at once: a disk that is too small says so now, and the parts lie together
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(self._file, 0, 8 + len(text) + end)
            self._write(len(text).to_bytes(8, "little") + text, 0)

    def put(self, name: str, values: np.ndarray, row: int = 0) -> None:
        """Write values of a tensor, from one of its rows on. Threads may do so at once."""
        self._write(np.ascontiguousarray(values).tobytes(), self._offsets[name] + row * self._rows[name])

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        os.fsync(self._file)

    def _write(self, content: bytes, place: int) -> None:
        view = memoryview(content)
        while view:
            count = os.pwrite(self._file, view, place)
            view, place = view[count:], place + count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self._file)
