"""The key that names a multiplier: a circuit by its name."""

from __future__ import annotations

from typing import Any

from winnow.config.keys.kinds import Kind, Unfit
from winnow.errors import WinnowError
from winnow.study.multipliers import FAMILIES, Family, multiplier
from winnow.text import told


class NamedMultiplier(Kind):
    """A circuit that the exported file can compute."""

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise Unfit(f": {told(value)} is not of type 'string'")
        try:
            found = multiplier(value)
        except WinnowError as error:
            raise Unfit(f": {error}") from None
        if not FAMILIES[found.family].terms:
            raise Unfit(f": no ordinary operators of a file compute {value}; name one of {self._forms()}")
        return found.name

    def in_words(self) -> str:
        return "; ".join(f"`{family.form}`: {_said(family)}" for family in _known())

    def as_schema(self) -> dict[str, Any]:
        patterns = [family.name + "-[0-9]+" * len(family.parameters) for family in _known()]
        return {"type": "string", "pattern": f"^({'|'.join(patterns)})$"}

    def _forms(self) -> str:
        return ", ".join(family.form for family in _known())


def _known() -> list[Family]:
    return [family for family in FAMILIES.values() if family.terms]


def _said(family: Family) -> str:
    ranges = [f"{p.name} {p.meaning}, {p.low} to {p.high}" for p in family.parameters]
    return ": ".join(filter(None, (family.meaning, "; ".join(ranges))))
