"""Settings as such: records that are built from plain values, whose types are checked."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from winnow.errors import WinnowError


@dataclass(frozen=True, slots=True)
class Settings:
    """Values that a stage takes, each of a type that is checked."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Build from a plain mapping, nested settings included.

        Raises:
            WinnowError: a key is missing, unknown or of the wrong type.
        """
        hints = typing.get_type_hints(cls)
        names = {field.name for field in dataclasses.fields(cls)}
        if names != set(values):
            wrong = ", ".join(sorted(names ^ set(values)))
            raise WinnowError(f"{cls.__name__}: missing or unknown settings: {wrong}")
        return cls(**{name: _convert(values[name], hints[name], f"{cls.__name__}.{name}") for name in names})


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), where)
    if isinstance(hint, type) and issubclass(hint, Settings):
        return hint.of(value)
    if origin is tuple:
        return tuple(_convert(item, arguments[0], where) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return types.MappingProxyType(dict(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise WinnowError(f"{where}: {value!r} is not of type {hint.__name__}")
    return value
