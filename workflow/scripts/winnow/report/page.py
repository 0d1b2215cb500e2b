"""The report as one file: start page, figures, tables and checklist, for any browser, offline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from winnow.analysis import published, ranking
from winnow.analysis.parallel import VIEWS
from winnow.figures.catalog import figures_of
from winnow.figures.interactive import parallel_plot
from winnow.files import write_text
from winnow.report.blocks import Block, Heading, Image, Raw, Table, Text, to_html, to_rst
from winnow.report.checklist import checklist
from winnow.report.pruning_table import pruning_table
from winnow.report.pruning_table import shown as shown_pruning
from winnow.report.quantization_table import quantization_table
from winnow.report.quantization_table import shown as shown_quantization
from winnow.report.start_page import Outcome, start_page
from winnow.results.not_measured import Missing
from winnow.results.over_seeds import networks_of

_FOLDED = 24  # rows from which on a table is folded away
_KEYS = ("dataset", "data set", "model", "precision")
_PLOT = """
document.querySelectorAll("details.parallel").forEach(function (box) {
  const plots = JSON.parse(box.querySelector("script").textContent), target = box.querySelector("div.plot");
  const buttons = box.querySelectorAll("button");
  function show(view) {
    buttons.forEach(function (b) { b.setAttribute("aria-pressed", b.dataset.view === view); });
    Plotly.react(target, plots[view].data, plots[view].layout, {displayModeBar: false, responsive: true});
  }
  buttons.forEach(function (b) { b.addEventListener("click", function () { show(b.dataset.view); }); });
  box.addEventListener("toggle", function () { if (box.open) show(buttons[0].dataset.view); });
});
"""


def write_report(outcome: Outcome, figures: Path, page: Path) -> None:
    """Write the report.

    Args:
        figures: folder of the figures that `draw_figures` wrote.
        page: where the HTML file goes.
    """
    title = f"Study {outcome.study['study']}"
    start = start_page(outcome)
    plots = list(_figures(outcome, figures))
    interactive = any(isinstance(block, Raw) for block in plots)
    blocks = [*start, *plots, *_tables(outcome), *_checklist(outcome)]
    write_text(page, to_html(title, blocks, [*_plotly(), _PLOT] if interactive else []))


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


def _plotly() -> Iterator[str]:
    from plotly.offline import get_plotlyjs

    yield get_plotlyjs()


def _figures(outcome: Outcome, folder: Path) -> Iterator[Block]:
    for dataset, model in networks_of(outcome.results):
        yield Heading(f"Figures: {dataset} / {model}")
        section = None
        for entry in figures_of(dataset, model, outcome.study["pruned"]):
            name = f"{dataset}/{model}/{entry.name}"
            if name in outcome.undrawn:
                continue
            if entry.section != section:
                section = entry.section
                yield Heading(section, 3)
            yield Image(folder / f"{name}.svg", entry.title, entry.caption)
            if entry.name == "parallel_coordinates":
                yield from _interactive(outcome, dataset, model)


def _interactive(outcome: Outcome, dataset: str, model: str) -> Iterator[Block]:
    results = outcome.results
    own = results[(results["dataset"] == dataset) & (results["model"] == model)]
    plots = {}
    for view, label in {None: "all", **VIEWS}.items():
        try:
            plots[label] = parallel_plot(own, outcome.settings, view)
        except Missing:
            continue
    data = json.dumps(plots).replace("</", "<\\/")
    buttons = "".join(f'<button type="button" data-view="{label}">{label}</button>' for label in plots)
    yield Raw(
        '<details class="parallel"><summary>The same, interactive: drag along an axis to choose a range, drag the name '
        f'of an axis to move it</summary><script type="application/json">{data}</script>{buttons}'
        '<div class="plot"></div></details>'
    )


def _tables(outcome: Outcome) -> Iterator[Block]:
    results = outcome.results
    yield Heading("Tables")
    yield Text("The same tables are in `tables/` as CSV and Markdown; every number is in `results.csv`.", "soft")
    quantization, pruning = quantization_table(results), pruning_table(results)
    parts: list[tuple[str, pd.DataFrame, str]] = []
    if len(quantization):
        parts.append(("Quantization", *shown_quantization(quantization)))
    if len(pruning):
        parts.append(("Pruning", *shown_pruning(pruning)))
    ranked = ranking.ranking(results)
    note = f"The {ranking.COUNT} best and the {ranking.COUNT} worst by mean test accuracy, ± one standard deviation."
    parts.append(("Best and worst experiments", ranking.shown(ranked), note))
    references = published.published_table(results)
    if len(references):
        note = "Setups differ: published values are for orientation, not for ranking."
        parts.append(("Beside published values", published.shown(references), note))
    for title, frame, note in parts:
        yield Heading(title, 3)
        frame, everywhere = _without_constants(frame)
        if everywhere:
            yield Text(everywhere, "soft")
        yield Table(frame.astype(str), f"{len(frame)} rows" if len(frame) > _FOLDED else "")
        for paragraph in note.split("\n\n"):
            yield Text(paragraph, "soft")


def _without_constants(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Leave out columns that say the same in every row, for room; return what they say, too."""
    same = [name for name in _KEYS if name in frame and frame[name].nunique() == 1 and len(frame) > 1]
    return frame.drop(columns=same), ", ".join(str(frame[name].iloc[0]) for name in same)


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
