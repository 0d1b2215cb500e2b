"""One writer for a job's files: a lock that dies with its holder."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import time
from pathlib import Path
from typing import IO

from winnow.errors import Occupied

log = logging.getLogger(__name__)
_PATIENCE = 20.0  # seconds; a job that was told to end may still be saving its state
_PAUSE = 0.1  # seconds
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class SoleWriter:
    """The right to write a file, and all that the same job writes, until `release` or the end of the process.

    The system frees the lock however the process ends. It works between machines where the file system carries
    `flock` (NFS from Linux 2.6.12 on, Lustre mounted with `flock`); where there are no locks, nothing is held.

    Args:
        output: the file, or folder, that names the lock; it need not exist.
        patience: seconds to wait for another writer that is about to end.

    Raises:
        Occupied: another process is writing; says which, on which machine.

    Attributes:
        held: whether there is a lock, and so nobody else who writes.
    """

    def __init__(self, output: str | Path, patience: float = _PATIENCE):
        output = Path(output)
        self._path = output.with_name(f".{output.name}.lock")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] | None = None
        self.held = True
        deadline = time.monotonic() + patience
        while self.held and (self._file is None or not self._is_current()):
            self._file = self._attempt()
            if self.held and self._file is None:
                if time.monotonic() > deadline:
                    raise Occupied(f"{output}: is being written by {self._holder()}; wait for it, or end it")
                time.sleep(_PAUSE)
        if self._file is not None:
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
            self._file.flush()

    def release(self) -> None:
        """Give the right back, and leave no file of it."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)  # while it is locked: the next one makes its own
            self._file.close()
            self._file = None

    def _attempt(self) -> IO[str] | None:
        """Return the locked file, or None while another process has it."""
        file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno in _UNSUPPORTED:
                log.warning("%s: no locks on this file system; nothing keeps a second writer away", self._path.parent)
                self.held = False
            elif error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return None
        return file

    def _is_current(self) -> bool:
        """Whether the path still leads to the file that is locked: its last holder may have deleted it meanwhile."""
        assert self._file is not None
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _holder(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8") or "another process"
        except OSError:
            return "another process"
