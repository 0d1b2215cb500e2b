"""The report as one file: start page, figures, tables and checklist, for any browser, offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from winnow.analysis.parallel import VIEWS
from winnow.analysis.published import published_table
from winnow.analysis.ranking import ranking_table
from winnow.figures.catalog import figures_of
from winnow.figures.interactive import parallel_plot
from winnow.files import write_text
from winnow.report.assignment_table import assignment_table
from winnow.report.blocks import Block, Heading, Image, ParallelCoordinates, Table, Text, to_rst
from winnow.report.checklist import checklist
from winnow.report.html import to_html
from winnow.report.pruning_sensitivity_table import pruning_sensitivity_table
from winnow.report.pruning_table import pruning_table
from winnow.report.quantization_table import quantization_table
from winnow.report.sensitivity_table import mixed_table, sensitivity_table
from winnow.report.start_page import Outcome, start_page
from winnow.results.not_measured import Missing
from winnow.results.numbers import counted
from winnow.results.over_seeds import networks_of

_FOLDED = 24  # rows from which on a table is folded away


def write_report(outcome: Outcome, figures: Path, page: Path) -> None:
    """Write the report.

    Args:
        figures: folder of the figures that `draw_figures` wrote.
        page: where the HTML file goes.
    """
    title = f"Study {outcome.study['study']}"
    blocks = [*start_page(outcome), *_figures(outcome, figures), *_tables(outcome), *_checklist(outcome)]
    write_text(page, to_html(title, blocks))


def write_parts(outcome: Outcome, description: Path, tables: Path, checks: Path) -> None:
    """Write what Snakemake's own report shows beside the figures.

    It cannot show the whole page: browsers refuse embedded pages of more than 2 MB, and the library of the
    interactive figures alone has 5.

    Args:
        description: where the start page goes, as reStructuredText.
        tables, checks: where the tables and the checklist go, as HTML.
    """
    title = f"Study {outcome.study['study']}"
    write_text(description, to_rst(title, start_page(outcome)))
    write_text(tables, to_html(f"{title}: tables", list(_tables(outcome))[1:]))
    write_text(checks, to_html(f"{title}: checklist", list(_checklist(outcome))[1:]))


def _figures(outcome: Outcome, folder: Path) -> Iterator[Block]:
    for dataset, model in networks_of(outcome.results):
        yield Heading(f"Figures: {dataset} / {model}")
        section = None
        for entry in figures_of(outcome.study, dataset, model):
            name = f"{dataset}/{model}/{entry.name}"
            if name in outcome.undrawn:
                continue
            if entry.section != section:
                section = entry.section
                yield Heading(section, 3)
            yield Image(folder / f"{name}.svg", entry.title, entry.caption)
            if entry.name == "parallel_coordinates":
                yield _interactive(outcome, dataset, model)


def _interactive(outcome: Outcome, dataset: str, model: str) -> ParallelCoordinates:
    results = outcome.results
    own = results[(results["dataset"] == dataset) & (results["model"] == model)]
    views: list[tuple[str | None, str]] = [(None, "all"), *VIEWS.items()]
    plots = {}
    for view, label in views:
        try:
            plots[label] = parallel_plot(own, outcome.settings, view)
        except Missing:
            continue
    return ParallelCoordinates(plots)


def _tables(outcome: Outcome) -> Iterator[Block]:
    yield Heading("Tables")
    yield Text("The same tables are in `tables/` as CSV and Markdown; every number is in `results.csv`.", "soft")
    made = [make(outcome.results) for make in (quantization_table, pruning_table, ranking_table, published_table)]
    made[1:1] = [make(layers) for make, layers in zip((sensitivity_table, mixed_table), outcome.layers, strict=False)]
    made[1:1] = [] if outcome.assignments is None else [assignment_table(outcome.assignments)]
    made += [] if outcome.curves is None else [pruning_sensitivity_table(outcome.curves)]
    for table in made:
        if table.shown.empty:
            continue
        yield Heading(table.title, 3)
        frame, said = table.concise()
        if said:
            yield Text(said, "soft")
        yield Table(frame, counted(len(frame), "row") if len(frame) > _FOLDED else "")
        yield from (Text(note, "soft") for note in table.notes)


def _checklist(outcome: Outcome) -> Iterator[Block]:
    yield Heading("Checklist")
    yield Text(
        "What a comparison of pruned networks should show, after Blalock et al., What is the State of Neural Network "
        "Pruning?, MLSys 2020. Held against this study as it stands."
    )
    items = checklist(outcome.results)
    marks = ["**yes**" if item.passed else "no" for item in items]
    demands, found = [item.demand for item in items], [item.found for item in items]
    yield Table(pd.DataFrame({"passed": marks, "demand": demands, "in this study": found}))
