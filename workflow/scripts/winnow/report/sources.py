"""The files that pages are made from besides results: templates, style sheet and scripts, and captions.

The Snakefile imports this and declares them as inputs of the rules that read them; it must load no heavy library.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "report"
PAGE = ("page.html.j2", "blocks.html.j2", "page.css", "filter.js")
"""What every page is made from."""
INTERACTIVE = ("parallel_coordinates.js",)
"""What a page with interactive plots is made from, too."""


def source(name: str) -> str:
    """Return the text of a file of workflow/report."""
    return (FOLDER / name).read_text(encoding="utf-8")


def source_paths(*names: str) -> list[str]:
    """Return files of workflow/report as Snakemake's inputs.

    They are relative to the working directory: a project that was moved has the same inputs, and makes nothing again.
    """
    return [os.path.relpath(FOLDER / name) for name in names]
