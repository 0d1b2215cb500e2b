"""Keys that take text: names, paths, import paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from winnow.config.keys.kinds import Kind, Unfit, Whole, either
from winnow.text import is_line, told

_LETTERS = "lower-case letters, digits, dots, underscores and hyphens"
_NAME = r"[a-z0-9][a-z0-9._-]*"
_WORD = "[A-Za-z_][A-Za-z0-9_]*"
_LONGEST_NAME = 100  # characters; names of files, which have more than one of them, end at 255 bytes


@dataclass(frozen=True)
class Text(Kind):
    """One line of text.

    Attributes:
        form: what it is, in words.
        pattern: of all of it, if there is one.
        at_most: so many characters.
        reserved: what it may not be.
    """

    form: str = "text"
    pattern: str = ""
    at_most: int | None = None
    reserved: tuple[str, ...] = ()

    def read(self, value: Any) -> Any:
        """Text is what is meant."""
        return value

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise Unfit(f": {told(value)} is not of type 'string'; put it in quotes")
        if not is_line(value):
            raise Unfit(f": {told(value)} is not one line of text; remove line breaks and control characters")
        if not re.fullmatch(self.pattern or ".+", value):
            raise Unfit(f": {told(value)} does not match {self.form}")
        if self.at_most is not None and len(value) > self.at_most:
            raise Unfit(f": {told(value)} has {len(value)} characters, more than {self.at_most}; choose a shorter one")
        if value in self.reserved:
            raise Unfit(f": {value} is the name of something else in the same folder; choose another")
        return value

    def in_words(self) -> str:
        most = f", at most {self.at_most} characters" if self.at_most else ""
        other = f", not {', '.join(f'`{name}`' for name in self.reserved)}" if self.reserved else ""
        return f"{self.form}{most}{other}"

    def as_schema(self) -> dict[str, Any]:
        most = {"maxLength": self.at_most} if self.at_most else {}
        other = {"not": {"enum": list(self.reserved)}} if self.reserved else {}
        form = {"pattern": f"^{self.pattern}$"} if self.pattern else {"minLength": 1}
        return {"type": "string"} | form | most | other


@dataclass(frozen=True)
class Output(Kind):
    """One of several outputs: by its name, or by its place in a tuple."""

    def check(self, value: Any) -> str | int:
        return Text("a name").check(value) if isinstance(value, str) else _PLACE.check(value)

    def in_words(self) -> str:
        return "a name, or a place counted from 0"

    def as_schema(self) -> dict[str, Any]:
        return either(Text("a name").as_schema(), _PLACE.as_schema())


_PLACE = Whole(at_least=0, at_most=1000)
OUTPUT = Output()
IMPORT_PATH = Text("`package.module:function`", rf"{_WORD}(\.{_WORD})*:{_WORD}", _LONGEST_NAME)


def name_beside(*others: str) -> Text:
    """Return the kind of a name in paths and tables, in a folder that also holds others."""
    return Text(_LETTERS, _NAME, _LONGEST_NAME, others)
