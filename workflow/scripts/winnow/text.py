"""What users have written, in messages and names: shown as one line, whatever it is."""

from __future__ import annotations

import unicodedata

_LONGEST = 120
_NO_LINE = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are no UTF-8, separators of lines


def shown(name: str) -> str:
    """Return a name as one line of printable text."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def told(value: object) -> str:
    """Return a value as Python writes it, cut where that is long."""
    try:
        text = shown(repr(value))
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def is_line(text: str) -> bool:
    """Whether text is one line that can be written as UTF-8."""
    return not any(unicodedata.category(letter) in _NO_LINE for letter in text)
