"""Words of the vocabulary that a table holds."""

from __future__ import annotations

from collections.abc import Iterable

from winnow.study.vocabulary import W, Words


def present(words: Words[W], names: Iterable[str]) -> list[W]:
    """Return the words that occur among names, each once, in the order in which they are shown.

    Raises:
        WinnowError: one of the names is no such word.
    """
    found = {words[name].name for name in names}
    return [word for name, word in words.items() if name in found]
