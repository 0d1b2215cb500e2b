"""Names of the user's files and classes: how they are shown, and which can be a class."""

from __future__ import annotations

import unicodedata
from functools import cache

_UNFIT = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are no UTF-8, separators of lines


def shown(name: str) -> str:
    """Return a name as one line of printable text."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


@cache
def class_name(folder: str) -> str:
    """Return the class that a folder stands for: composed and decomposed accents are the same name."""
    return unicodedata.normalize("NFC", folder)


@cache
def unfit(name: str) -> bool:
    """Whether a name cannot be a class: tables and labels hold one name a line, as UTF-8."""
    return any(unicodedata.category(letter) in _UNFIT for letter in name)


def hidden(path: str) -> bool:
    """Whether a part of a /-separated path is not meant to be seen: a dot file, or what macOS adds to archives."""
    return "/." in (rooted := f"/{path}/") or "/__MACOSX/" in rooted
