"""Writes config.schema.yaml and the tables of config/README.md from the keys. `make docs`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from annotated_types import MinLen
from pydantic.fields import FieldInfo

from winnow.config.keys.export import Export
from winnow.config.keys.kinds import Kind, either
from winnow.config.keys.measurement import Benchmark, Recommend
from winnow.config.keys.pruning import Exclusion, Pruning, Retrain
from winnow.config.keys.quantization import Entry, Ptq, Qat, Quantization
from winnow.config.keys.section import OneOrMore, Section, is_section, item_of, without_null
from winnow.config.keys.study import Configuration, Dataset, Model, Trained
from winnow.config.keys.training import Distill, Training
from winnow.files import write_text

_REPOSITORY = Path(__file__).resolve().parents[4]
GUIDE = _REPOSITORY / "config" / "README.md"
SCHEMA = _REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
SECTIONS: dict[str, type[Section]] = {
    "study": Configuration,
    "datasets.<name>": Dataset,
    "models.<name>": Model,
    "models.<name>.trained": Trained,
    "training": Training,
    "quantization": Quantization,
    "quantization.recipes": Entry,
    "quantization.ptq": Ptq,
    "quantization.qat": Qat,
    "quantization.qat.distill": Distill,
    "pruning": Pruning,
    "pruning.retrain": Retrain,
    "export": Export,
    "benchmark": Benchmark,
    "recommend": Recommend,
}
"""Sections by the place in the guide where their table stands."""
_WITHOUT_PLACE: list[type[Section]] = [Exclusion]
_DEFINED = {kind: kind.__name__.lower() for kind in [*SECTIONS.values(), *_WITHOUT_PLACE] if kind is not Configuration}
_TABLE = re.compile(r"(<!-- keys: (\S+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)


def guide(text: str) -> str:
    """Return the guide with its tables written again.

    Raises:
        KeyError: it has a table of no section.
    """
    return _TABLE.sub(lambda found: f"{found[1]}{table(SECTIONS[found[2]])}{found[3]}", text)


def table(section: type[Section]) -> str:
    """Return the keys of a section as a Markdown table."""
    heads = ["key", "meaning", "values", "default", "example"]
    rows = [heads, ["---"] * len(heads)]
    for name, field in section.model_fields.items():
        meaning, values = field.description or "", _values(field)
        rows.append([f"`{name}`", meaning, values, _default(field), _written(_extra(field, "example"))])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def schema() -> str:
    """Return the JSON schema of a configuration, as YAML."""
    head = "# Written by `make docs` from workflow/scripts/winnow/config/keys/.\n"
    values = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Winnow study",
        "description": Configuration.__doc__,
        **_section_schema(Configuration),
        "$defs": {name: {"description": kind.__doc__, **_section_schema(kind)} for kind, name in _DEFINED.items()},
    }
    return head + yaml.dump(
        values, Dumper=_Plain, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
    )


class _Plain(yaml.SafeDumper):
    """Writes a list or section that occurs twice out twice."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _section_schema(section: type[Section]) -> dict[str, Any]:
    fields = section.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {name: _key_schema(field) for name, field in fields.items()},
    }


def _key_schema(field: FieldInfo) -> dict[str, Any]:
    described = {"description": ". ".join(filter(None, (field.description, _null(field)))).replace("`", "")}
    values = _type_schema(field.annotation, field.metadata)
    default = field.get_default()
    if not field.is_required() and (default is not None or _extra(field, "null")):
        values |= {"default": {} if isinstance(default, Section) else _plain(default)}
    return described | values


def _type_schema(annotation: Any, metadata: list[Any]) -> dict[str, Any]:
    """Return the JSON schema of a type; a list of lengths at least one says so in its metadata."""
    optional, annotation = without_null(annotation) is not annotation, without_null(annotation)
    kind = next((entry for entry in metadata if isinstance(entry, Kind)), None)
    if kind:
        values = kind.as_schema()
    elif is_section(annotation):
        values = {"$ref": f"#/$defs/{_DEFINED[annotation]}"}
    elif get_origin(annotation) is tuple:
        item = _type_schema(*_taken_apart(item_of(annotation)))
        values = {"type": "array", "items": item} | _length("minItems", metadata)
        if OneOrMore in metadata:
            values = either(item, values)
    else:
        values = {"type": "object"} | _length("minProperties", metadata)
        names, entries = get_args(annotation)
        if entries is not Any:
            values |= {"propertyNames": _type_schema(*_taken_apart(names))}
            values |= {"additionalProperties": _type_schema(*_taken_apart(entries))}
    return either(values, {"type": "null"}) if optional else values


def _length(word: str, metadata: list[Any]) -> dict[str, int]:
    return next(({word: entry.min_length} for entry in metadata if isinstance(entry, MinLen)), {})


def _taken_apart(annotation: Any) -> tuple[Any, list[Any]]:
    """Return a type and what it is annotated with."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    kind, *metadata = get_args(annotation)
    return kind, metadata


def _values(field: FieldInfo) -> str:
    return "; ".join(filter(None, (*_kinds(field.annotation, field.metadata), _null(field))))


def _kinds(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    """Yield in words what a key takes; of sections their own tables tell."""
    annotation = without_null(annotation)
    yield from (entry.in_words() for entry in metadata if isinstance(entry, Kind))
    if is_section(annotation):
        yield "a section"
    elif get_origin(annotation) is tuple:
        number = "one, or list of" if OneOrMore in metadata else "list of"
        yield from (f"{number}: {words}" for words in _kinds(*_taken_apart(item_of(annotation))))
    elif get_origin(annotation) is dict:
        yield from (f"by name: {words}" for words in _kinds(*_taken_apart(item_of(annotation))))


def _null(field: FieldInfo) -> str:
    meaning = _extra(field, "null")
    return f"`null`: {meaning}" if meaning else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default()
    return "" if isinstance(default, Section) else _written(default, null="`null`")


def _written(value: Any, null: str = "") -> str:
    """Write a value as one would in a configuration, `[l1, 0.5]`."""
    if value is None:
        return null
    text = yaml.dump(_plain(value), Dumper=_Plain, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    return f"`{text}`"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _extra(field: FieldInfo, name: str) -> Any:
    return field.json_schema_extra[name] if isinstance(field.json_schema_extra, dict) else None


if __name__ == "__main__":
    write_text(SCHEMA, schema())
    write_text(GUIDE, guide(GUIDE.read_text(encoding="utf-8")))
