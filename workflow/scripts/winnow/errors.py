"""The exceptions a user is meant to read."""

from __future__ import annotations

from collections.abc import Iterator


class WinnowError(Exception):
    """Something the user can act on.

    The message is one line: which run, which file or key, what was found and what to do.
    """


class Occupied(WinnowError):
    """Something that another process has, and will give back by itself."""


class Interrupted(Exception):
    """The process was asked to end (SIGTERM); its state has been saved, and the same call resumes from it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one it was raised from, says that memory is used up; torch and others have errors of their
    own for it."""
    words = ("can't allocate memory", "cannot allocate memory", "out of memory", "std::bad_alloc", "bad allocation")
    return any(isinstance(cause, MemoryError) or _says(cause, words) for cause in _causes(error))


def is_final(error: BaseException) -> bool:
    """Whether the same job would end in the same error again: the user has to act, not another node or more memory.

    What nobody foresaw, and what a broken node says, may be different elsewhere.
    """
    node = ("cuda error", "cudnn error", "cublas error", "stale file handle", "input/output error")
    passes = is_out_of_memory(error) or any(_says(cause, node) for cause in _causes(error))
    return isinstance(error, WinnowError) and not isinstance(error, Occupied) and not passes


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    return any(word in str(error).lower() for word in words)
