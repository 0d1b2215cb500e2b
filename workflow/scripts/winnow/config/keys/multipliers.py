"""The key that says what is multiplied with: a circuit by its name, or of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from winnow.config.keys.kinds import Kind, Real, Unfit, either
from winnow.config.keys.text import Text
from winnow.errors import WinnowError
from winnow.study.multipliers import EXACT, FAMILIES, TABLE, Family, OwnMultiplier, described, multiplier
from winnow.study.recipe_axes import AUTO
from winnow.text import told

_OWN = "{table: circuit.npy, power: 0.5, area: 0.6, source: ...}"
_SHARE = Real(above=0)
_PARTS: dict[str, Kind] = {
    "table": Text("a file of NumPy, .npy", r".*[^/]\.npy"),
    "power": _SHARE,
    "area": _SHARE,
    "source": Text(at_most=200),
}
_LONGEST_NAME = 60  # characters: it is a part of the name of a folder


@dataclass(frozen=True)
class Circuit(Kind):
    """A circuit that the exported file can compute.

    Attributes:
        candidate: one of those that layers choose from: it is not exact, and its power is known; else also `auto`.
    """

    candidate: bool = False

    def check(self, value: Any) -> OwnMultiplier | str:
        if isinstance(value, Mapping):
            return self._own(value)
        if not isinstance(value, str):
            raise Unfit(f": {told(value)} is not of type 'string'")
        if value == AUTO and not self.candidate:
            return value
        try:
            found = multiplier(value)
        except WinnowError as error:
            raise Unfit(f": {error}") from None
        if not FAMILIES[found.family].terms:
            raise Unfit(f": no ordinary operators of a file compute {value}; name one of {self._forms()}")
        if self.candidate and value == EXACT:
            raise Unfit(f": {EXACT} is always one of them; leave it out")
        if self.candidate and found.cost is None:
            raise Unfit(f": the power of {value} is not known, so that no layer can save it; leave it out")
        return found.name

    def _own(self, value: Mapping[str, Any]) -> OwnMultiplier:
        if unknown := [str(key) for key in value if key not in _PARTS]:
            raise Unfit(f": {told(unknown[0])} says nothing of a circuit; write {_OWN}")
        if "table" not in value:
            raise Unfit(f": it has no table; write {_OWN}")
        given = {key: _part(key, entry) for key, entry in value.items() if key == "table" or entry is not None}
        own = OwnMultiplier(**given)
        if own.name == TABLE:
            raise Unfit(f": {told(own.table)} has no letter or digit to be named by; rename the file")
        if len(own.name) > _LONGEST_NAME:
            raise Unfit(f": {told(own.table)} has too long a name, {own.name!r} would be that of a folder; shorten it")
        try:
            found = described(own)
        except WinnowError as error:
            raise Unfit(f": {error}") from None
        if self.candidate and found.cost is None:
            raise Unfit(f": {own.table} has no power, so that no layer can save it; write {_OWN}")
        return own

    def in_words(self) -> str:
        return "; ".join(self._said())

    def _said(self) -> Iterator[str]:
        if not self.candidate:
            yield f"`{AUTO}`: for each layer one of `quantization.multipliers`, as cheap as the limit allows"
        yield from (f"`{family.form}`: {_words(family)}" for family in self._known())
        yield f"`{_OWN}`: {FAMILIES[TABLE].meaning}, with power and area relative to the exact multiplier, if known"

    def as_schema(self) -> dict[str, Any]:
        patterns = [family.name + "-[0-9]+" * len(family.parameters) for family in self._known()]
        names = [*([] if self.candidate else [AUTO]), *patterns]
        parts = {key: either(kind.as_schema(), {"type": "null"}) for key, kind in _PARTS.items()}
        own = {
            "type": "object",
            "additionalProperties": False,
            "required": [*_PARTS] if self.candidate else ["table"],
            "properties": parts | {"table": _PARTS["table"].as_schema()},
        }
        return either({"type": "string", "pattern": f"^({'|'.join(names)})$"}, own)

    def _known(self) -> list[Family]:
        families = [family for family in FAMILIES.values() if family.terms]
        return [family for family in families if not (self.candidate and family.name == EXACT)]

    def _forms(self) -> str:
        return ", ".join(family.form for family in self._known())


def _part(key: str, value: Any) -> Any:
    """Return a part of what describes a circuit; numbers as they are computed with."""
    try:
        checked = _PARTS[key].check(_PARTS[key].read(value))
    except Unfit as error:
        raise Unfit(f".{key}{error}") from None
    return float(checked) if _PARTS[key] is _SHARE else checked


def _words(family: Family) -> str:
    ranges = [f"{p.name} {p.meaning}, {p.low} to {p.high}" for p in family.parameters]
    return ": ".join(filter(None, (family.meaning, "; ".join(ranges))))
