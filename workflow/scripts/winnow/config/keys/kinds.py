"""The kinds of values that a key can have: each checks a value, says what it takes, and describes itself to programs.

They annotate fields, `Annotated[int, Whole(at_least=1)]`; a field that may be `None` takes null too.
"""

from __future__ import annotations

import contextlib
import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import yaml
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from winnow.errors import WinnowError
from winnow.text import told

_SAYING = ("meaning", "label", "action")
_LONGEST_NUMBER = 40  # characters


class Unfit(WinnowError):
    """What is wrong with a value, to be read after the path of its key."""


class Kind(ABC):
    """A kind of scalar value."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """Return the value, in its type.

        Raises:
            Unfit: what is wrong with it.
        """

    @abstractmethod
    def in_words(self) -> str:
        """Return what it takes, as Markdown."""

    @abstractmethod
    def as_schema(self) -> dict[str, Any]:
        """Return what it takes, as JSON schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        optional = type(None) in get_args(source)

        def validate(value: Any) -> Any:
            value = self.read(value)
            if optional and (value is None or value == "null"):
                return None
            try:
                return self.check(value)
            except Unfit as error:
                raise PydanticCustomError("winnow", "{message}", {"message": str(error)}) from None

        return core_schema.no_info_plain_validator_function(validate)

    def read(self, value: Any) -> Any:
        """Return a value given as text in the type that is meant.

        Snakemake's `--config` passes whatever stands inside brackets as text, and YAML takes 1e-3 for text.
        """
        return _scalar(value) if isinstance(value, str) else value


def _scalar(text: str) -> Any:
    """Read a number (1e-3 too), true, false or null; anything else stays text."""
    if len(text) > _LONGEST_NUMBER:
        return text
    reads: tuple[Callable[[str], Any], ...] = (float if "e" in text.lower() else yaml.safe_load, yaml.safe_load)
    for read in reads:
        with contextlib.suppress(ValueError, LookupError, yaml.YAMLError):
            value = read(text)
            return value if isinstance(value, bool | int | float | None) else text
    return text


def _is_finite(value: float) -> bool:
    """Whether a number is one that others compute with; whole ones may be larger than any of those."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


@dataclass(frozen=True)
class Real(Kind):
    """A finite number within bounds; whole ones stay whole, as Snakemake compares the text of parameters."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    unit: str = ""

    def check(self, value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise Unfit(f": {told(value)} is not of type 'number'")
        self._check_bounds(value)
        return value

    def _check_bounds(self, value: float) -> None:
        if self.at_least is not None and value < self.at_least:
            raise Unfit(f": {told(value)} is less than the minimum of {self.at_least}")
        if self.above is not None and value <= self.above:
            raise Unfit(f": {told(value)} is less than or equal to the minimum of {self.above}; it must be above it")
        if self.at_most is not None and value > self.at_most:
            raise Unfit(f": {told(value)} is greater than the maximum of {self.at_most}")
        if self.below is not None and value >= self.below:
            raise Unfit(f": {told(value)} is greater than or equal to the maximum of {self.below}; it must be below it")

    def in_words(self) -> str:
        bounds = {"from": self.at_least, "above": self.above, "to": self.at_most, "below": self.below}
        limits = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
        return ", ".join(filter(None, (self.unit, *limits))) or "a number"

    def as_schema(self) -> dict[str, Any]:
        bounds = {
            "minimum": self.at_least,
            "exclusiveMinimum": self.above,
            "maximum": self.at_most,
            "exclusiveMaximum": self.below,
        }
        return {"type": "number"} | {key: bound for key, bound in bounds.items() if bound is not None}


@dataclass(frozen=True)
class Whole(Real):
    """A whole number within bounds."""

    def check(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit(f": {told(value)} is not of type 'integer'")
        self._check_bounds(value)
        return value

    def as_schema(self) -> dict[str, Any]:
        return super().as_schema() | {"type": "integer"}


@dataclass(frozen=True)
class Flag(Kind):
    """True or false."""

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise Unfit(f": {told(value)} is not of type 'boolean'")
        return value

    def in_words(self) -> str:
        return "`true`, `false`"

    def as_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class OneOf(Kind):
    """A word of a vocabulary, or a value of another kind."""

    words: Mapping[Any, Any]
    other: Kind | None = None

    def check(self, value: Any) -> Any:
        if any(value == word and type(value) is type(word) for word in self.words):
            return value
        if self.other is not None:
            with contextlib.suppress(Unfit):
                return self.other.check(value)
        choices = [str(word) for word in self.words]
        near = difflib.get_close_matches(told(value).strip("'"), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        others = f", or {self.other.in_words()}" if self.other else ""
        raise Unfit(f" is {told(value)}, expected one of {', '.join(choices)}{others}{hint}")

    def in_words(self) -> str:
        choices = [_choice(name, word) for name, word in self.words.items()]
        return "; ".join([*choices, self.other.in_words()] if self.other else choices)

    def as_schema(self) -> dict[str, Any]:
        words: dict[str, Any] = {"enum": list(self.words)}
        return either(words, self.other.as_schema()) if self.other else words


def either(*schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of what fits one of several."""
    return {"anyOf": [part for schema in schemas for part in schema.get("anyOf", [schema])]}


def _choice(name: Any, word: Any) -> str:
    """Write a choice with what its word says of it; words differ in where they say it."""
    said = word if isinstance(word, str) else next(filter(None, (getattr(word, part, "") for part in _SAYING)), "")
    return f"`{name}`: {said}" if said else f"`{name}`"
