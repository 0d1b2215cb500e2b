"""A section of the configuration: its keys, each with type, default, range and meaning, stated once."""

from __future__ import annotations

import types
from typing import Any, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """Keys that belong together; what is unknown is refused, and what is read does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def key(meaning: str, default: Any = ..., *, null: str = "", example: Any = None, at_least_one: bool = False) -> Any:
    """State a key.

    Args:
        meaning: as a phrase, in Markdown.
        default: of the key; without it the key is required.
        null: what null stands for, if the key takes it.
        example: another value, for the guide.
        at_least_one: a list, or a section of names, must not be empty.
    """
    return Field(
        default,
        description=meaning,
        min_length=1 if at_least_one else None,
        json_schema_extra={"null": null, "example": example},
    )


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, list | tuple) else [value]


OneOrMore = BeforeValidator(_listed)
"""Annotates a list whose only value may stand without brackets."""


def is_section(annotation: Any) -> TypeGuard[type[Section]]:
    """Whether a type is a section."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def without_null(annotation: Any) -> Any:
    """Return a type without the None that stands beside it."""
    if types.NoneType not in get_args(annotation):
        return annotation
    kinds = [other for other in get_args(annotation) if other is not types.NoneType]
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007 - made at run time


def item_of(annotation: Any) -> Any:
    """Return the type of what a list holds, or of what a section of names holds under each."""
    return get_args(annotation)[1 if get_origin(annotation) is dict else 0]
