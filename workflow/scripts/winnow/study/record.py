"""A JSON file as a class: written and read in one place, checked when it is read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

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
        return TypeAdapter(cls)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file that `write` wrote.

        Raises:
            WinnowError: it is absent, damaged or of another schema; names the key.
        """
        try:
            content = json.loads(Path(path).read_bytes())
            schema = content.pop("schema", None) if isinstance(content, dict) else None
            if schema != cls.schema:
                raise WinnowError(f"{path}: has schema {schema}, not {cls.schema}; delete it and run again")
            record: Self = cls._adapter().validate_json(json.dumps(content))
            return record
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise WinnowError(f"{path}: {key}: {first['msg']}; delete it and run again") from error
        except (OSError, ValueError) as error:
            raise WinnowError(f"{path}: not readable as JSON ({error}); delete it and run again") from error

    def write(self, path: str | Path) -> None:
        """Write strict JSON: a value that could not be measured is null, and none is NaN."""
        content = {"schema": self.schema} | dataclasses.asdict(self)
        write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
