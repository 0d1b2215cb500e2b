"""A section that is not ours to read: keyword arguments of a user's function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winnow.config.keys.kinds import Kind, Unfit
from winnow.text import is_line, told

_DEEPEST = 50


@dataclass(frozen=True)
class PlainValues(Kind):
    """Keyword arguments: by name, what YAML and JSON write without types of their own."""

    def read(self, value: Any) -> Any:
        """They are for others to read."""
        return value

    def check(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unfit(f": {told(value)} is no section of keys")
        _check_plain(value, "", 0)
        return value

    def in_words(self) -> str:
        return "a section"

    def as_schema(self) -> dict[str, Any]:
        return {"type": "object"}


def _check_plain(value: Any, where: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise Unfit(f"{where}: nested too deeply; write it flat")
    if isinstance(value, dict):
        for name, entry in value.items():
            if not isinstance(name, str) or not is_line(name):
                raise Unfit(f"{where}: key {told(name)} is no text; put it in quotes")
            _check_plain(entry, f"{where}.{name}", depth + 1)
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            _check_plain(entry, f"{where}.{number}", depth + 1)
    elif not isinstance(value, str | int | float | None):
        raise Unfit(f"{where}: {told(value)} is neither text nor a number; put it in quotes")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unfit(f"{where}: {told(value)} is no text; remove the escaped surrogates") from None
