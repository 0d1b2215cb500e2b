"""Who computes on this machine: whoever is timed alone, all others side by side."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

log = logging.getLogger(__name__)
_PATIENCE = 300.0  # seconds; another study may train for days
_PAUSE = 0.2  # seconds


@contextmanager
def turn(*, alone: bool, folder: Path | None = None, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold the machine while a job computes: together with other jobs of Winnow, or alone to be timed.

    It holds between studies, users and working directories, where Snakemake's own limits do not reach. Timings take
    turns, and jobs that would begin beside one wait until it is over. A timing waits for jobs that run, but not for
    ever; then it goes ahead beside them, and says so. The system frees the machine when the process ends, however it
    ends. Where there are no locks, nobody waits.

    Args:
        folder: of the lock files; the same for all jobs of a machine. By default the one for temporary files.
        patience: seconds that a timing waits for jobs that run.
    """
    folder = folder or Path(tempfile.gettempdir())
    with ExitStack() as locks:
        try:
            if alone:
                _wait(locks.enter_context(_opened(folder, "timing")), fcntl.LOCK_EX, "another timing to end")
                if not _quiet(locks.enter_context(_opened(folder, "room")), patience):
                    log.warning(
                        "other jobs of Winnow compute on this machine after %.0f s; timed beside them", patience
                    )
            else:
                _wait(locks.enter_context(_opened(folder, "room")), fcntl.LOCK_SH, "a timing on this machine to end")
        except OSError as error:
            log.warning("%s: no locks (%s); nothing keeps jobs from computing beside a timing", folder, error.strerror)
        yield


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[int]:
    """Open a lock file; it holds nothing, and whoever was first owns it."""
    path = folder / f"winnow-{name}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _wait(descriptor: int, kind: int, waited_for: str) -> None:
    if not _locked(descriptor, kind):
        log.info("waiting for %s", waited_for)
        fcntl.flock(descriptor, kind)


def _quiet(descriptor: int, patience: float) -> bool:
    """Wait until nobody else computes and keep it so, or return False when patience ends."""
    deadline, said = time.monotonic() + patience, False
    while not _locked(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        if not said:
            log.info("waiting up to %.0f s for other jobs of Winnow on this machine to end", patience)
            said = True
        time.sleep(_PAUSE)
    return True


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
