"""Settings as such: records that are built from plain values, whose types are checked."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from winnow.errors import WinnowError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """Values that a stage takes, each of a type that is checked."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Build from a plain mapping, nested settings included.

        Raises:
            WinnowError: a key is missing, unknown or of the wrong type.
        """
        return built(cls, values)


def built(kind: type[T], values: Mapping[str, Any]) -> T:
    """Build a frozen dataclass from a plain mapping, nested ones included; see `Settings.of`."""
    hints = _hints(kind)  # type: ignore[arg-type]
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if names != set(values):
        wrong = ", ".join(sorted(names ^ set(values)))
        raise WinnowError(f"{kind.__name__}: missing or unknown settings: {wrong}")
    return kind(**{name: _convert(values[name], hints[name], f"{kind.__name__}.{name}") for name in names})


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [a for a in arguments if a is not type(None)]
        return _convert(value, next((kind for kind in kinds if type(value) is kind), kinds[0]), where)
    if dataclasses.is_dataclass(hint):
        return built(hint, value)  # type: ignore[arg-type]
    if origin is tuple:
        return tuple(_convert(item, arguments[0], where) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return types.MappingProxyType(dict(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise WinnowError(f"{where}: {value!r} is not of type {hint.__name__}")
    return value
