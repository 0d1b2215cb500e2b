"""The configuration's schema: types, defaults, and one-line errors."""

from __future__ import annotations

import contextlib
import copy
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

_SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "config.schema.yaml"


def load_schema() -> dict[str, Any]:
    return yaml.safe_load(_SCHEMA.read_text(encoding="utf-8"))


def schema_errors(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return a line for each violation, in the order of the keys."""
    found = Draft202012Validator(schema).iter_errors(config)
    return [line for error in sorted(found, key=lambda e: list(map(str, e.absolute_path))) for line in _lines(error)]


def _lines(error: ValidationError) -> Iterator[str]:
    where = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        for key in sorted(set(error.instance) - set(known)):
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            yield f"configuration: unknown key {'.'.join(filter(None, (where, key)))!r}; {hint}"
    elif error.validator == "required":
        key = next(key for key in error.validator_value if key not in error.instance)
        yield f"configuration: key {'.'.join(filter(None, (where, key)))!r} is missing; it has no default"
    elif error.validator == "enum":
        choices = [str(choice) for choice in error.validator_value]
        near = difflib.get_close_matches(str(error.instance), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield f"configuration: {where} is {error.instance!r}, expected one of {', '.join(choices)}{hint}"
    else:
        yield f"configuration: {where or 'the whole'}: {error.message}"


def fill_defaults(value: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Add the defaults of a schema to a valid configuration, in place."""
    _fill(value, schema, schema)


def typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a copy in which text is a number, a truth value or null where the schema has no text.

    Snakemake's `--config` passes whatever stands inside brackets as text, and YAML takes 1e-3 for text.
    """
    return _typed(value, schema, schema)


def _typed(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    schema = _resolved(schema, root)
    if isinstance(value, Mapping):
        others = schema.get("additionalProperties")
        others = others if isinstance(others, dict) else {"type": "string"}
        parts = schema.get("properties", {})
        return {key: _typed(entry, parts.get(key, others), root) for key, entry in value.items()}
    if isinstance(value, list):
        return [_typed(entry, schema.get("items", {}), root) for entry in value]
    if isinstance(value, str) and not Draft202012Validator(schema | {"$defs": root["$defs"]}).is_valid(value):
        return _scalar(value)
    return copy.deepcopy(value)


def _scalar(text: str) -> Any:
    """Read a number (1e-3 too, which YAML takes for text), true, false or null; anything else stays text."""
    for read in (float if "e" in text.lower() else yaml.safe_load, yaml.safe_load):
        with contextlib.suppress(ValueError, yaml.YAMLError):
            value = read(text)
            return value if isinstance(value, bool | int | float | None) else text
    return text


def _fill(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    schema = _resolved(schema, root)
    if not isinstance(value, dict):
        return
    for key, part in schema.get("properties", {}).items():
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
        if key in value:
            _fill(value[key], part, root)
    if isinstance(schema.get("additionalProperties"), dict):
        for entry in value.values():
            _fill(entry, schema["additionalProperties"], root)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with what it refers to in its place."""
    if "$ref" in schema:
        return root["$defs"][schema["$ref"].rpartition("/")[2]] | schema
    return schema
