"""From a file to the values it holds: UTF-8, YAML or JSON, one section of keys that are text, each given once.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

import difflib
import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from winnow.errors import WinnowError
from winnow.text import shown, told

_LARGEST_FILE = 1_000_000  # bytes
_MOST_VALUES = 100_000  # aliases of aliases can make more of a few lines than memory holds
_DEEPEST = 50
_TAG = "tag:yaml.org,2002:"
_PLAIN = ("bool", "float", "int", "map", "null", "seq", "str")
_READ_AS = {"bool": "true or false", "float": "a number", "int": "a number", "null": "nothing", "timestamp": "a date"}


def read(path: str | Path) -> dict[str, Any]:
    """Return the values of a configuration file.

    Raises:
        WinnowError: one line with the file, and the place in it where there is one.
    """
    path = Path(path)
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    name = shown(str(path))
    try:
        values = _values(_text(path))
    except _Unfit as unfit:
        raise WinnowError(f"configuration: {name}{unfit}") from None
    if not isinstance(values, dict):
        found = "holds nothing" if values is None else f"holds {told(values)}"
        raise WinnowError(f"configuration: {name} {found}; write keys, beginning with `study: name`")
    return values


class _Unfit(Exception):
    """What is wrong with a file, to be read after its path."""


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise _Unfit(" is no file; name a file of YAML")
        if path.stat().st_size > _LARGEST_FILE:
            raise _Unfit(f" has more than {_LARGEST_FILE:,} bytes; name a configuration")
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _Unfit(f", line {line}: a letter is not in UTF-8; save the file as UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        if isinstance(error, OSError) and error.errno == errno.ENOENT:
            raise _Unfit(f" does not exist{_near(path)}") from None
        reason = error.strerror if isinstance(error, OSError) else error
        raise _Unfit(f" cannot be read ({reason}); name another file") from None


def _near(path: Path) -> str:
    names = [entry.name for entry in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"; did you mean {shown(str(path.with_name(near[0])))}?" if near else "; name one that does"


def _values(text: str) -> Any:
    """Read JSON where it is JSON, as Snakemake does: tabs may indent it. Of all else YAML says what is wrong."""
    try:
        return json.loads(text, object_pairs_hook=_section)
    except (ValueError, RecursionError):
        return _yaml(text)


def _section(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _Unfit(f": key {told(twice)} is given twice; keep one")
    return dict(pairs)


def _yaml(text: str) -> Any:
    loader = None
    try:
        loader = yaml.SafeLoader(text)  # raises where a character is none of YAML's
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = f", line {before.count(chr(10)) + 1}, column {error.position - before.rfind(chr(10))}"
        raise _Unfit(f"{place}: character {told(text[error.position])} is not allowed; remove it") from None
    except yaml.MarkedYAMLError as error:
        said = ", ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        raise _Unfit(f"{_at(mark)}: {shown(said)}; correct the YAML there") from None
    except RecursionError:
        raise _Unfit(": sections are nested too deeply; write them flat") from None
    finally:
        if loader is not None:
            loader.dispose()


def _at(mark: Any) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _check_nodes(root: Node) -> None:
    """Check what a file is made of before values are made from it."""
    sizes: dict[int, int] = {}  # by node: aliases share it
    above: set[int] = set()

    def size(node: Node, depth: int) -> int:
        if id(node) in above:
            raise _Unfit(f"{_at(node.start_mark)}: a section holds itself, by an alias; write its values out")
        if depth > _DEEPEST:
            raise _Unfit(f"{_at(node.start_mark)}: sections are nested too deeply; write them flat")
        if id(node) not in sizes:
            above.add(id(node))
            sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in _children(node))
            above.remove(id(node))
        if sizes[id(node)] > _MOST_VALUES:
            raise _Unfit(f"{_at(node.start_mark)}: aliases make more than {_MOST_VALUES:,} values; write fewer")
        return sizes[id(node)]

    size(root, 0)


def _children(node: Node) -> Iterator[Node]:
    """Yield the nodes below a node, which is checked by itself."""
    tag = node.tag.removeprefix(_TAG)
    if tag not in _PLAIN:
        value = told(node.value) if isinstance(node, ScalarNode) else "a value"
        raise _Unfit(f"{_at(node.start_mark)}: {value} is {_read_as(tag)}; put text in quotes")
    if isinstance(node, ScalarNode):
        _check_scalar(node, tag)
    elif isinstance(node, SequenceNode):
        yield from node.value
    elif isinstance(node, MappingNode):
        first: dict[str, Node] = {}
        for name, value in node.value:
            _check_key(name, first)
            yield value


def _check_scalar(node: ScalarNode, tag: str) -> None:
    """Check that a number can be made: not of `!!int text`, nor of more digits than Python converts."""
    if tag in ("int", "float", "bool", "null"):
        try:
            yaml.constructor.SafeConstructor().construct_object(node)
        except (ValueError, LookupError):
            line = f"{told(node.value)} cannot be {_read_as(tag)}; correct it, or put text in quotes"
            raise _Unfit(f"{_at(node.start_mark)}: {line}") from None


def _check_key(node: Node, first: dict[str, Node]) -> None:
    where = _at(node.start_mark)
    if not isinstance(node, ScalarNode):
        raise _Unfit(f"{where}: a key is a list or a section; write text")
    tag = node.tag.removeprefix(_TAG)
    if tag not in ("str", "merge"):
        raise _Unfit(f"{where}: key {told(node.value)} is {_read_as(tag)}; put it in quotes")
    if node.value in first:
        line = first[node.value].start_mark.line + 1
        raise _Unfit(f"{where}: key {told(node.value)} is given twice, first in line {line}; keep one")
    if node.value == "__use_yte__":
        raise _Unfit(f"{where}: templates are not supported; write the values out")
    first[node.value] = node


def _read_as(tag: str) -> str:
    return f"read as {_READ_AS.get(tag, shown(tag))}"
