"""A job ends with the program that started it: nobody would take what an orphan writes, and it would be in the way."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from pathlib import Path

log = logging.getLogger(__name__)


def end_with(program: str) -> int | None:
    """Send this process SIGTERM as soon as the nearest ancestor that runs a program has ended, however it ended.

    On Linux only; between the two there may be shells, which outlive the program.

    Args:
        program: its name, as started by itself or by `python -m`.

    Returns:
        The ancestor's process id; None if there is no such ancestor, or no way to watch it.
    """
    ancestor = _ancestor(program)
    if ancestor is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        handle = os.pidfd_open(ancestor)
    except OSError:
        return None
    threading.Thread(target=_wait, args=(handle, program, ancestor), daemon=True).start()
    return ancestor


def _wait(handle: int, program: str, ancestor: int) -> None:
    select.select([handle], [], [])
    log.warning("%s (process %d) has ended, and so does this job", program, ancestor)
    os.kill(os.getpid(), signal.SIGTERM)


def _ancestor(program: str) -> int | None:
    process = os.getppid()
    while process > 0:
        try:
            arguments = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
            status = Path(f"/proc/{process}/stat").read_text(errors="replace")
        except OSError:
            return None
        if any(Path(argument).name == program for argument in arguments):
            return process
        process = int(status.rpartition(")")[2].split()[1])  # the name before it may hold anything
    return None
