"""The HTML form of a page, from the templates in workflow/report: one file that needs no other and works offline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from winnow.report.blocks import Block, Heading, ParallelCoordinates, Table
from winnow.report.sources import source


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Return a page; its menu leads to its sections."""
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            blocks=blocks,
            sections=[block for block in blocks if isinstance(block, Heading) and block.section],
            filtered=any(isinstance(block, Table) and block.long for block in blocks),
            interactive=any(isinstance(block, ParallelCoordinates) for block in blocks),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(source),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {}  # as it comes: the order of the views is that of the buttons
    environment.filters |= {"marked": _marked, "slug": _slug}
    environment.globals |= {"source": lambda name: Markup(source(name)), "plotly": _plotly}
    return environment


def _plotly() -> Markup:
    from plotly.offline import get_plotlyjs  # 5 MB, for pages with something interactive only

    return Markup(get_plotlyjs())


def _marked(text: str) -> Markup:
    """Escape a text, then turn **bold** and `code` into elements and keep numbers on the line of their unit."""
    text = str(escape(text))
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"(?<=\d) (?=%|MB|ms|mJ|dB)", "\u00a0", text)
    text = re.sub(r"(?<=\d) ± (?=\d)", "\u00a0±\u00a0", text)
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", text))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
