"""The exceptions a user is meant to read."""

from __future__ import annotations


class WinnowError(Exception):
    """Something the user can act on.

    The message is one line: which run, which file or key, what was found and what to do.
    """


class Interrupted(Exception):
    """The process was asked to end (SIGTERM); its state has been saved, and the same call resumes from it."""
