"""The files that pages are made from besides results: templates, style sheet and scripts, and captions.

Imported by the Snakefile, which declares them as inputs of the rules that read them; it must load no heavy library.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "report"
PAGE = ("blocks.html.j2", "page.css", "page.html.j2", "parallel_coordinates.js")
"""What every page is made from."""


def source(name: str) -> str:
    """Return the text of a file of workflow/report."""
    return (FOLDER / name).read_text(encoding="utf-8")
