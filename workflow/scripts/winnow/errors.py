"""The exceptions a user is meant to read."""

from __future__ import annotations


class WinnowError(Exception):
    """Something the user can act on.

    The message is one line: which run, which file or key, what was found and what to do.
    """


class Interrupted(Exception):
    """The process was asked to end (SIGTERM); its state has been saved, and the same call resumes from it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one it was raised from, says that memory is used up; torch and others have errors of their
    own for it."""
    words = ("can't allocate memory", "cannot allocate memory", "out of memory", "std::bad_alloc", "bad allocation")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(word in str(cause).lower() for word in words):
            return True
        cause = cause.__cause__
    return False
