"""A page as a list of blocks, in Markdown, and in reStructuredText for Snakemake's own report; HTML is in `html`."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from winnow.results.report_table import markdown_table

_LONG = 12  # rows


class _Block:
    """A part of a page."""

    @property
    def kind(self) -> str:
        """Return the name of its template in blocks.html.j2."""
        return type(self).__name__


@dataclass(frozen=True)
class Heading(_Block):
    text: str
    level: int = 2

    @property
    def section(self) -> bool:
        """Return whether the menu of the page leads to it."""
        return self.level == 2


@dataclass(frozen=True)
class Text(_Block):
    """A paragraph; **bold** and `code` are marked as in Markdown. `role` is a class of the style sheet."""

    text: str
    role: str = ""


@dataclass(frozen=True)
class Bullets(_Block):
    items: Sequence[str]


@dataclass(frozen=True)
class Table(_Block):
    """Rows of text; folded away until it is opened where it has a `summary`. Rows of a long one can be filtered."""

    frame: pd.DataFrame
    summary: str = ""

    @property
    def long(self) -> bool:
        return len(self.frame) > _LONG

    @property
    def columns(self) -> list[str]:
        return list(map(str, self.frame.columns))

    @property
    def rows(self) -> Iterator[list[str]]:
        for row in self.frame.itertuples(index=False, name=None):
            yield list(map(str, row))


@dataclass(frozen=True)
class Image(_Block):
    """An SVG file that becomes part of the page."""

    path: Path
    title: str
    caption: str

    @property
    def data(self) -> str:
        """Return the file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode()


@dataclass(frozen=True)
class Code(_Block):
    """Lines of Python."""

    text: str


@dataclass(frozen=True)
class ParallelCoordinates(_Block):
    """Interactive plots in HTML, one shown at a time; nothing in other forms.

    Attributes:
        views: data and layout of each plot, as plotly.js takes them, by the name of its button.
    """

    views: Mapping[str, Mapping[str, Any]]


Block = Heading | Text | Bullets | Table | Image | Code | ParallelCoordinates


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Return the page as Markdown, without images and scripts."""
    parts = [f"# {title}"]
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {text}")
            case Text(text):
                parts.append(text)
            case Bullets(items):
                parts.append("\n".join(f"- {item}" for item in items))
            case Table(frame):
                parts.append(markdown_table(frame))
            case Code(text):
                parts.append(f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def to_rst(title: str, blocks: Sequence[Block]) -> str:
    """Return the page as reStructuredText, without images and scripts."""
    parts = [_underlined(title, "=")]
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(_underlined(text, "-" if level == 2 else "~"))
            case Text(text):
                parts.append(_rst(text))
            case Bullets(items):
                parts.append("\n".join(f"- {_rst(item)}" for item in items))
            case Table(frame, summary) if len(frame) and not summary:
                parts.append(
                    frame.map(lambda cell: _rst(str(cell))).to_markdown(
                        index=False, tablefmt="rst", disable_numparse=True
                    )
                )
    return "\n\n".join(parts) + "\n"


def _underlined(text: str, mark: str) -> str:
    return f"{text}\n{mark * len(text)}"


def _rst(text: str) -> str:
    """Escape what reStructuredText, or the template engine that reads it, would take for markup."""
    pieces = re.split(r"(\*\*.+?\*\*|`.+?`)", text)
    plain = [re.sub(r"([\\*_|`])", r"\\\1", piece) if not place % 2 else piece for place, piece in enumerate(pieces)]
    marked = "".join(f"``{piece[1:-1]}``" if piece.startswith("`") else piece for piece in plain)
    return marked.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #")
