"""From the user's configuration to its keys: types, ranges and defaults, and one line for each mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from winnow.config.keys.section import is_section, item_of, without_null
from winnow.config.keys.study import Configuration
from winnow.errors import WinnowError
from winnow.text import shown, told

_Path = tuple[int | str, ...]


def parse(config: Any) -> Configuration:
    """Return a configuration with its keys checked one by one, and its defaults.

    Raises:
        WinnowError: one line for each key that is missing, unknown or of no fitting value.
    """
    try:
        return Configuration.model_validate(config)
    except ValidationError as invalid:
        # a list is also called too short for what is wrong in it
        errors = [e for e in invalid.errors(include_url=False) if e["type"] != "too_short" or not e["input"]]
        raise WinnowError("\n".join(f"configuration: {_line(error, config)}" for error in errors)) from None


def _line(error: ErrorDetails, config: Any) -> str:
    """Say what is wrong with a key, by its full path, and what to do."""
    *above, name = path = error["loc"] or ("",)
    value = error["input"]
    where = shown(".".join(map(str, _given(path, config))))
    match error["type"]:
        case "winnow":
            return f"{where}{error['msg']}"
        case "extra_forbidden":
            known = _known_keys(tuple(above))
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            return f"unknown key {told(where)}; {hint}"
        case "invalid_key":
            section = shown(".".join(map(str, above)))
            return ": ".join(filter(None, (section, f"key {told(value)} is no text; put it in quotes")))
        case "missing":
            whole = ".".join(filter(None, (where, str(name))))
            return f"key {told(whole)} is missing; it has no default"
        case "too_short":
            return f"{where}: {told(value)} is empty; give at least one"
        case "tuple_type":
            item = told(value).strip("'")
            return f"{where}: {told(value)} is no list; write [{item}]"
        case "dict_type" | "model_type":
            return f"{where or 'the whole'}: {told(value)} is no section of keys"
    return f"{where or 'the whole'}: {error['msg']}"


def _given(path: _Path, config: Any) -> Iterator[int | str]:
    """Yield what of a path stands in the configuration; a single value in place of a list has no number."""
    for part in path:
        there = part in config if isinstance(config, Mapping) else isinstance(config, list) and isinstance(part, int)
        if not there:
            return
        yield part
        config = config[part]


def _known_keys(path: _Path) -> list[str]:
    """Return the keys of the section at a path: keys lead to sections, to lists of them, or to sections by name."""
    kind: Any = Configuration
    for part in path:
        kind = without_null(kind.model_fields[str(part)].annotation) if is_section(kind) else item_of(kind)
    return list(kind.model_fields)
