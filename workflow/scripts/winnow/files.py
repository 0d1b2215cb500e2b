"""Files that are either whole or absent, and digests of what they were made from."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from winnow.errors import WinnowError

_ADVICE = {
    errno.ENOSPC: "free some space, then run again",
    errno.EDQUOT: "free some of your quota, then run again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), then run again",
    errno.EROFS: "make the folder writable, or choose another",
    errno.EACCES: "make the folder writable, or choose another",
    errno.EPERM: "make the folder writable, or choose another",
    errno.EIO: "check the disk, then run again",
}
_PROBE = 2**16  # bytes


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place if the block ends without an exception.

    Raises:
        WinnowError: the disk is full, or the folder cannot be written; also where a library says it otherwise.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        put_in_place(temporary, path)
    except Exception as error:
        if (refused := unwritable(error, path, temporary)) is None:
            raise
        raise refused from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file that is whole, and on the disk, the name that it was written for."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)  # mkstemp makes it private
    temporary.replace(path)


def unwritable(error: Exception, path: Path, temporary: Path | None) -> WinnowError | None:
    """Return what to tell the user of an error, if it is that a file cannot be written.

    Args:
        temporary: what is written in place of the file, if it has come so far.
    """
    refusal = _refusal(error, temporary)
    if refusal is None or _is_elsewhere(refusal, path):
        return None
    return WinnowError(f"{path}: cannot be written ({refusal.strerror}); {_ADVICE[refusal.errno or 0]}")


def _refusal(error: Exception, temporary: Path | None) -> OSError | None:
    """Return the error of the system that keeps a file from being written, if that is the reason."""
    if isinstance(error, OSError):
        return error if error.errno in _ADVICE else None
    if temporary is None or (isinstance(error, WinnowError) and error.__cause__ is None):
        return None
    try:  # writers in C++ and Rust have words of their own for a full disk: ask the system
        with temporary.open("ab") as file:
            file.write(bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as refusal:
        return refusal if refusal.errno in _ADVICE else None
    return None


def _is_elsewhere(error: OSError, path: Path) -> bool:
    """Whether an error is of a file that the block reads."""
    return error.filename is not None and Path(os.fsdecode(error.filename)).parent not in (path.parent, *path.parents)


def remove_remains(path: str | Path) -> None:
    """Delete what killed attempts at writing a file have left beside it; nobody else may be writing it."""
    path = Path(path)
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")  # what mkstemp adds
    if path.parent.is_dir():
        for entry in path.parent.iterdir():
            if pattern.fullmatch(entry.name):
                entry.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write strict JSON (no NaN: a value that could not be measured is null)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        WinnowError: it is absent or damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WinnowError(f"{path}: not readable as JSON ({error}); delete it and run again") from error


def digest(value: Any) -> str:
    """Return a SHA-256 hex digest of a JSON-like value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def content_digest(path: str | Path) -> str:
    """Return the SHA-256 hex digest of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safetensors_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a safetensors file by reading its header only (no tensor, no torch)."""
    metadata: dict[str, str] = safetensors_header(path).get("__metadata__", {})
    return metadata


def ordered_metadata(content: bytes) -> bytes:
    """Return the content of a safetensors file with its metadata sorted: it is written in an order that differs.

    The same content is then the same bytes. The header keeps its length, and tensors their places.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    return b"".join((content[:8], _with_ordered_metadata(content[8:end]), memoryview(content)[end:]))


def _with_ordered_metadata(text: bytes) -> bytes:
    header = json.loads(text)
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(len(text))
    if len(ordered) != len(text):
        raise ValueError(f"a safetensors header of {len(text)} bytes became {len(ordered)}")
    return ordered


def safetensors_header(path: str | Path) -> dict[str, Any]:
    """Return what a safetensors file says about itself: by tensor `dtype` and `shape`, and `__metadata__`.

    Raises:
        WinnowError: it is no such file.
    """
    try:
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= 100_000_000:
                raise ValueError("no safetensors header")
            header: dict[str, Any] = json.loads(file.read(length))
            return header
    except (OSError, ValueError) as error:
        raise WinnowError(f"{path}: not a safetensors file ({error}); delete it and run again") from error
