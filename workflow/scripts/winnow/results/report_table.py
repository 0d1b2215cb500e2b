"""A table of a study in its forms: everything as CSV, and as people read it, as Markdown and on a page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from winnow.files import write_text
from winnow.results.csv_files import write_csv

WIDTH = 120
"""Columns of a terminal that Markdown must fit."""


@dataclass(frozen=True)
class ReportTable:
    """A table of a study.

    Attributes:
        title: its heading.
        data: all of it, one value a row or one network a row; goes to the CSV.
        shown: what people see: columns of text, empty where there is nothing to show.
        groups: columns of `shown` that many rows share, e.g. the network; a table that is too wide is divided by them.
        labels: columns of `shown` that tell the rows of a group apart; each part of a divided table has them.
        notes: paragraphs below it.
        nothing: the sentence in its place where there is nothing to show.
    """

    title: str
    data: pd.DataFrame
    shown: pd.DataFrame
    groups: Sequence[str]
    labels: Sequence[str]
    notes: Sequence[str]
    nothing: str

    def concise(self) -> tuple[pd.DataFrame, str]:
        """Return what people see without the columns that say the same in every row, and what these say."""
        return _concise(self.shown, [*self.groups, *self.labels[:-1]])

    def markdown(self) -> str:
        """Return what people see, at most WIDTH characters wide if no single column is wider."""
        if self.shown.empty:
            return f"{self.nothing}\n"
        paragraphs = []
        for frame, said in self._parts(self.shown, list(self.groups)):
            paragraphs += [f"**{said}**", markdown_table(frame)] if said else [markdown_table(frame)]
        wrapped = [textwrap.fill(note, WIDTH, break_long_words=False, break_on_hyphens=False) for note in self.notes]
        return "\n\n".join([*paragraphs, *wrapped]) + "\n"

    def write(self, csv: str | Path, markdown: str | Path) -> None:
        """Write the CSV, with eight digits, and the Markdown."""
        write_csv(csv, self.data)
        write_text(markdown, self.markdown())

    def _parts(self, shown: pd.DataFrame, groups: list[str]) -> Iterator[tuple[pd.DataFrame, str]]:
        """Divide a table until each part fits: first by what rows share, then by columns."""
        frame, said = _concise(shown, [*self.groups, *self.labels[:-1]])
        if _width(frame) <= WIDTH:
            yield frame, said
        elif groups:
            for _, part in shown.groupby(groups[0], sort=False):
                yield from self._parts(part, groups[1:])
        else:
            for part in self._sideways(frame):
                yield part, said
                said = ""

    def _sideways(self, frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Divide a table by its columns, each part with the labels."""
        labels = [name for name in frame.columns if name in (*self.groups, *self.labels)]
        part: list[str] = []
        for name in frame.columns:
            if name in labels:
                continue
            if part and _width(frame[[*labels, *part, name]]) > WIDTH:
                yield frame[[*labels, *part]]
                part = []
            part.append(name)
        yield frame[[*labels, *part]]


def markdown_table(frame: pd.DataFrame) -> str:
    """Return rows of text as a Markdown table whose columns are aligned."""
    columns = _columns(frame)
    widths = [max(map(len, column)) for column in columns]
    lines = [" | ".join(map(str.ljust, cells, widths)) for cells in zip(*columns, strict=True)]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def _columns(frame: pd.DataFrame) -> list[list[str]]:
    """Return the cells of each column, its name first, as they stand in a Markdown table."""
    columns = ([name, *cells] for name, cells in frame.items())
    return [[str(cell).replace("|", "\\|") for cell in column] for column in columns]


def _width(frame: pd.DataFrame) -> int:
    """Return how many characters wide a Markdown table is."""
    return sum(max(map(len, column)) + 3 for column in _columns(frame)) + 1


def _concise(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, str]:
    same = [name for name in columns if name in frame and frame[name].nunique() == 1 and len(frame) > 1]
    return frame.drop(columns=same), ", ".join(str(frame[name].iloc[0]) for name in same)
