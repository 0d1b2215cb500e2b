"""Keys that say what images are like: sizes, and the order of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winnow.config.keys.kinds import Kind, Unfit, Whole, either
from winnow.config.keys.text import Text
from winnow.text import told

_LEAST, _MOST = 4, 1024
_SIDE = Whole(at_least=_LEAST, at_most=_MOST, unit="pixels")
_PATH, _NAME = Text("a path"), Text("names")


@dataclass(frozen=True)
class Size(Kind):
    """A size in pixels, as (height, width).

    Attributes:
        alone: what a single number is, in words.
        shorter: a single number is the shorter side, and stays alone.
    """

    alone: str = "both sides"
    shorter: bool = False

    def check(self, value: Any) -> tuple[int, ...]:
        given = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, list | tuple) and len(value) != 2:
            raise Unfit(f": {told(value)} is neither a number nor [height, width]")
        sides = tuple(_SIDE.check(self.read(side)) for side in given)
        return sides if len(sides) == 2 or self.shorter else sides * 2

    def in_words(self) -> str:
        return f"{self.alone}, or [height, width]: pixels, from {_LEAST}, to {_MOST}"

    def as_schema(self) -> dict[str, Any]:
        side = _SIDE.as_schema()
        return either(side, {"type": "array", "items": side, "minItems": 2, "maxItems": 2})


@dataclass(frozen=True)
class ClassOrder(Kind):
    """Names of classes in their order, or the path of a text file with one a line."""

    def read(self, value: Any) -> Any:
        """Text is what is meant."""
        return value

    def check(self, value: Any) -> str | tuple[str, ...]:
        if isinstance(value, str):
            return _PATH.check(value)
        if not isinstance(value, list | tuple) or len(value) < 2:
            raise Unfit(f": {told(value)} is neither a list of at least two names nor a path")
        names = tuple(map(_NAME.check, value))
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise Unfit(f" lists {told(twice)} more than once; list each class once")
        return names

    def in_words(self) -> str:
        return "list of: names; a path of a text file, one name a line"

    def as_schema(self) -> dict[str, Any]:
        names = {"type": "array", "items": _NAME.as_schema(), "minItems": 2, "uniqueItems": True}
        return either(_PATH.as_schema(), names)
