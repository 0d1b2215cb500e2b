"""A page as a list of blocks, and its forms: HTML, Markdown, and reStructuredText for Snakemake's own report."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

_STYLE = Path(__file__).resolve().parents[3] / "report" / "page.css"


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; **bold** and `code` are marked as in Markdown. `kind` is a class of the style sheet."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of text; folded away until it is opened where it has a `summary`."""

    frame: pd.DataFrame
    summary: str = ""


@dataclass(frozen=True)
class Image:
    """An SVG file that becomes part of the page."""

    path: Path
    title: str
    caption: str


@dataclass(frozen=True)
class Code:
    """Lines of Python."""

    text: str


@dataclass(frozen=True)
class Raw:
    """HTML as it is; nothing in other forms."""

    html: str


Block = Heading | Text | Bullets | Table | Image | Code | Raw


def to_html(title: str, blocks: Sequence[Block], scripts: Iterable[str] = ()) -> str:
    """Return a page that needs no other file and no network.

    Args:
        scripts: JavaScript for its end.
    """
    headings = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = " ".join(f'<a href="#{_slug(block.text)}">{html.escape(block.text)}</a>' for block in headings)
    body = "\n".join(_html(block) for block in blocks)
    code = "\n".join(f"<script>{script}</script>" for script in scripts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"<header><h1>{html.escape(title)}</h1></header>\n<nav>{links}</nav>\n<main>\n{body}\n</main>\n{code}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f'<h{level} id="{_slug(text)}">{html.escape(text)}</h{level}>'
        case Text(text, kind):
            return f'<p class="{kind}">{_inline(text)}</p>' if kind else f"<p>{_inline(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
        case Table(frame, summary):
            table = f'<div class="wide">{_table(frame)}</div>'
            return f"<details><summary>{html.escape(summary)}</summary>{table}</details>" if summary else table
        case Image(path, title, caption):
            data = base64.b64encode(path.read_bytes()).decode()
            image = f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(title)}">'
            return f"<figure><b>{html.escape(title)}</b>{image}<figcaption>{_inline(caption)}</figcaption></figure>"
        case Code(text):
            return f"<pre><code>{html.escape(text)}</code></pre>"
        case Raw(text):
            return text


def _table(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in frame.columns)
    rows = frame.itertuples(index=False, name=None)
    body = "".join("<tr>" + "".join(f"<td>{_inline(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _inline(text: str) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"(?<=\d) (?=%|MB|ms|mJ|dB)", "\u00a0", text)  # a number stays on the line of its unit
    text = re.sub(r"(?<=\d) ± (?=\d)", "\u00a0±\u00a0", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


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
                parts.append(frame.to_markdown(index=False, disable_numparse=True))
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
