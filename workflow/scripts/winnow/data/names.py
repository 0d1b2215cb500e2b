"""Names of the user's files and classes: which are hidden, and which can be a class."""

from __future__ import annotations

import unicodedata
from functools import cache

from winnow.text import is_line


@cache
def class_name(folder: str) -> str:
    """Return the class that a folder stands for: composed and decomposed accents are the same name."""
    return unicodedata.normalize("NFC", folder)


@cache
def unfit(name: str) -> bool:
    """Whether a name cannot be a class: tables and labels hold one name a line, as UTF-8."""
    return not is_line(name)


def hidden(path: str) -> bool:
    """Whether a part of a /-separated path is not meant to be seen: a dot file, or what macOS adds to archives."""
    return "/." in (rooted := f"/{path}/") or "/__MACOSX/" in rooted
