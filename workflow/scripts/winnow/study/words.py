"""Words of one kind by name: a table that raises for what is not in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from winnow.errors import WinnowError

_LOOKS = frozenset(("meaning", "label", "column", "action", "units", "color", "marker", "hatch", "dashes"))
_PLANNED = frozenset(("rule", "trial", "preferred", "axes"))  # Snakemake sees what these change: jobs and parameters


class Word(Protocol):
    """A frozen dataclass with a name."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str: ...


NONE = "none"
"""The value of an axis that asks for nothing."""

W = TypeVar("W", bound=Word)


def facts(word: Word) -> dict[str, Any]:
    """Return what is known of a word and can decide a result; a new attribute is taken to."""
    return {field.name: getattr(word, field.name) for field in fields(word) if field.name not in _LOOKS | _PLANNED}


class Words(Mapping[str, W], Generic[W]):
    """Words of one kind by name, in the order in which they are shown."""

    def __init__(self, kind: str, *words: W) -> None:
        self.kind = kind
        self._words = {word.name: word for word in words}

    def __getitem__(self, name: str) -> W:
        """Return a word.

        Raises:
            WinnowError: there is none of this name.
        """
        if name not in self._words:
            near = difflib.get_close_matches(str(name), self._words, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._words)}"
            raise WinnowError(f"{name!r} is no {self.kind} ({hint})")
        return self._words[name]

    def present(self, names: Iterable[str]) -> list[W]:
        """Return the words that occur among names, each once, in the order in which they are shown.

        Raises:
            WinnowError: one of the names is no such word.
        """
        found = {self[name].name for name in names}
        return [word for name, word in self._words.items() if name in found]

    def __contains__(self, name: object) -> bool:
        return name in self._words

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)


@dataclass(frozen=True)
class Choice:
    """A value of a key that needs no more than its meaning."""

    name: str
    meaning: str
