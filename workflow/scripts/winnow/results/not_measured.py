"""What a table or a figure needs and the results do not hold."""

from __future__ import annotations


class Missing(Exception):
    """A figure cannot be drawn from these results; the message says what is not there, in plain words."""
