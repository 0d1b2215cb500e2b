"""Who computes on this machine: whoever is timed alone, all others side by side."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def turn(*, alone: bool, folder: Path | None = None) -> Iterator[None]:
    """Hold the machine while a job computes: together with other jobs of Winnow, or alone to be timed.

    It holds between studies, users and working directories, where Snakemake's own limits do not reach. Who wants to be
    alone waits for the jobs that run, and keeps others from beginning meanwhile. The system frees the machine when the
    process ends, however it ends. Where there are no locks, nobody waits.

    Args:
        folder: of the lock files; the same for all jobs of a machine. By default the one for temporary files.
    """
    gate, room = (_opened(folder or Path(tempfile.gettempdir()), name) for name in ("gate", "room"))
    try:
        if gate is not None and room is not None:
            waited_for = "jobs that compute on this machine" if alone else "a job that is timed on this machine"
            _lock(gate, fcntl.LOCK_EX, waited_for)
            _lock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, waited_for)
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield
    finally:
        for descriptor in (gate, room):
            if descriptor is not None:
                os.close(descriptor)


def _opened(folder: Path, name: str) -> int | None:
    """Open a lock file; it holds nothing, and whoever was first owns it."""
    path = folder / f"winnow-machine-{name}.lock"
    try:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        log.warning("%s: %s; nothing keeps other studies from computing beside a timing", path, error.strerror)
        return None


def _lock(descriptor: int, kind: int, waited_for: str) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("waiting for %s to end", waited_for)
        fcntl.flock(descriptor, kind)
    except OSError as error:
        log.warning("no locks for temporary files (%s); other studies may compute beside a timing", error.strerror)
