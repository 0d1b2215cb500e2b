"""A file that takes long to write: what a killed job has written of it stays, and the same job resumes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from winnow.errors import WinnowError, is_final
from winnow.files import put_in_place, read_json, unwritable, write_json

log = logging.getLogger(__name__)


class Partial:
    """What there is of a file, beside it, and a journal of how far it has come.

    Attributes:
        temporary: what is written.
        state: of the journal; None where the writing begins anew.
    """

    def __init__(self, path: Path, key: str) -> None:
        """Find what an earlier attempt has left.

        Args:
            key: of all that the content depends on; what was written under another one is discarded.
        """
        self.path, self.key = path, key
        self.temporary, self._journal = (path.with_name(f".{path.name}.{kind}") for kind in ("partial", "journal"))
        self.state = self._known()
        if self.state is None:
            self.discard()

    def _known(self) -> Any:
        if not (self._journal.exists() and self.temporary.exists()):
            return None
        try:
            journal = read_json(self._journal)
            if journal["key"] == self.key:
                return journal["state"]
            log.warning("discarding %s: parameters, inputs or code have changed since it was written", self.temporary)
        except (WinnowError, KeyError, TypeError):
            log.warning("discarding %s: its journal is damaged", self.temporary)
        return None

    def save(self, state: Any) -> None:
        """Note how far the file has come, as plain values; what is written so far must be on the disk."""
        write_json(self._journal, {"key": self.key, "state": state})

    def discard(self) -> None:
        """Delete what there is."""
        self.temporary.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    def finish(self) -> None:
        """Move the file into place."""
        put_in_place(self.temporary, self.path)
        self._journal.unlink(missing_ok=True)


@contextmanager
def resumable(path: str | Path, key: str) -> Iterator[Partial]:
    """Yield what there is of a file; move it into place if the block ends without an exception.

    It stays if the process is killed or fails in a way that another attempt may not; an error that the user has to mend
    discards it.

    Raises:
        WinnowError: the disk is full, or the folder cannot be written.
    """
    path = Path(path)
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Partial(path, key)
        yield partial
        partial.finish()
    except Exception as error:
        refused = unwritable(error, path, None)
        if partial and is_final(refused or error):
            partial.discard()
        if refused is None:
            raise
        raise refused from error
