"""The key that says what is multiplied with: a circuit by its name, or of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from winnow.config.keys.kinds import Kind, Unfit, either
from winnow.errors import WinnowError
from winnow.study.multipliers import EXACT, FAMILIES, TABLE, Family, OwnMultiplier, described, multiplier
from winnow.study.recipe_axes import AUTO
from winnow.text import told

_OWN = "{table: circuit.npy, power: 0.5, area: 0.6, source: ...}"
_KEYS = tuple(field.name for field in fields(OwnMultiplier))


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
        if unknown := [str(key) for key in value if key not in _KEYS]:
            raise Unfit(f": {told(unknown[0])} says nothing of a circuit; write {_OWN}")
        table = value.get("table")
        if not isinstance(table, str) or not table.endswith(".npy"):
            raise Unfit(f": table is {told(table)}, expected a file of NumPy, .npy; write {_OWN}")
        try:
            known = {key: None if value.get(key) is None else float(value[key]) for key in ("power", "area")}
        except (TypeError, ValueError):
            raise Unfit(
                f": power and area are {told([value.get(key) for key in ('power', 'area')])}, expected numbers"
            ) from None
        source = None if value.get("source") is None else str(value["source"])
        own = OwnMultiplier(table, **known, source=source)
        if own.name == TABLE:
            raise Unfit(f": {told(table)} has no letter or digit to be named by; rename the file")
        try:
            found = described(own)
        except WinnowError as error:
            raise Unfit(f": {error}") from None
        if self.candidate and found.cost is None:
            raise Unfit(f": {table} has no power, so that no layer can save it; write {_OWN}")
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
        number = {"type": ["number", "null"], "exclusiveMinimum": 0}
        kinds = {"table": {"type": "string", "pattern": r"\.npy$"}, "power": number, "area": number}
        own = {
            "type": "object",
            "additionalProperties": False,
            "required": ["table", *(["power", "area", "source"] if self.candidate else [])],
            "properties": kinds | {"source": {"type": ["string", "null"]}},
        }
        return either({"type": "string", "pattern": f"^({'|'.join(names)})$"}, own)

    def _known(self) -> list[Family]:
        families = [family for family in FAMILIES.values() if family.terms]
        return [family for family in families if not (self.candidate and family.name == EXACT)]

    def _forms(self) -> str:
        return ", ".join(family.form for family in self._known())


def _words(family: Family) -> str:
    ranges = [f"{p.name} {p.meaning}, {p.low} to {p.high}" for p in family.parameters]
    return ": ".join(filter(None, (family.meaning, "; ".join(ranges))))
