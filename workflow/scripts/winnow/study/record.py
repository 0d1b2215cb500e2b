"""A JSON file as a class: written and read in one place, checked when it is read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from winnow.errors import WinnowError
from winnow.files import write_text


@dataclass(frozen=True)
class Record:
    """The content of one file.

    `schema` is raised with every change of a class that makes older files unreadable.
    """

    schema: ClassVar[int] = 1
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    @classmethod
    @cache
    def _adapter(cls) -> TypeAdapter[Any]:
        """Return what reads a file: the class with its schema as a field that must be there."""
        schema = ("schema", Literal[cls.schema], dataclasses.field(kw_only=True))
        return TypeAdapter(dataclasses.make_dataclass(cls.__name__, [schema], bases=(cls,), frozen=True))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file that `write` wrote.

        Raises:
            WinnowError: it is absent, damaged or of another schema; names the key.
        """
        try:
            content = cls._adapter().validate_json(Path(path).read_bytes())
        except ValidationError as error:
            raise WinnowError(f"{path}: {cls._mistake(error.errors())}; delete it and run again") from error
        except OSError as error:
            raise WinnowError(f"{path}: not readable as JSON ({error}); delete it and run again") from error
        return cls(**{field.name: getattr(content, field.name) for field in dataclasses.fields(cls)})

    @classmethod
    def _mistake(cls, errors: list[ErrorDetails]) -> str:
        """Say what is wrong with a file: that it is of another schema, before what follows from this."""
        error = next((error for error in errors if error["loc"] == ("schema",)), errors[0])
        if error["loc"] == ("schema",):
            found = None if error["type"] == "missing" else error["input"]
            return f"has schema {found!r}, not {cls.schema}"
        if error["type"] == "json_invalid":
            return f"not readable as JSON ({error['msg']})"
        return ": ".join(filter(None, (".".join(map(str, error["loc"])), error["msg"])))

    def write(self, path: str | Path) -> None:
        """Write strict JSON: a value that could not be measured is null, and none is NaN."""
        content = {"schema": self.schema} | dataclasses.asdict(self)
        write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
