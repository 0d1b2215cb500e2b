"""Writes the columns of results.csv into results/README.md. `make docs`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from winnow.files import write_text
from winnow.results.columns import METRICS
from winnow.results.facts import FACTS
from winnow.results.metric import Metric
from winnow.results.timed_columns import TIMED
from winnow.study.recipe_axes import RECIPE_AXES
from winnow.study.vocabulary import AXES, KEYS

GUIDE = Path(__file__).resolve().parents[4] / "results" / "README.md"
_WHERE = "<runtime>_b<batch>_t<threads>"
_TABLES = re.compile(r"(<!-- columns: (\w+) -->\n).*?(<!-- end of columns -->)", re.DOTALL)


def guide(text: str) -> str:
    """Return the guide with its tables of columns written again."""
    tables = {"facts": _facts, "metrics": _metrics}
    return _TABLES.sub(lambda found: f"{found[1]}{''.join(map(_line, tables[found[2]]()))}{found[3]}", text)


def _facts() -> Iterator[list[str]]:
    yield from (["column", "holds"], ["---", "---"])
    yield [_names(KEYS), "which network; one row for each"]
    yield [_names(AXES), "how it was pruned, as in `pruning` of a configuration; empty for the dense network"]
    quantized = (
        "how it was quantized, as in `quantization.recipes`; empty for fp32, and where its method has no such axis"
    )
    yield [_names(RECIPE_AXES), quantized]
    yield from ([f"`{fact.name}`", fact.meaning] for fact in FACTS.values())


def _metrics() -> Iterator[list[str]]:
    yield from (["column", "holds", "shown as", "in", "better"], ["---"] * 5)
    yield from ([f"`{metric.name}`", *_cells(metric)] for metric in METRICS.values())
    yield from ([f"`{metric.column.format(where=_WHERE)}`", *_cells(metric)] for metric in TIMED.values())


def _cells(metric: Metric) -> list[str]:
    unit = metric.unit if metric.factor == 1 else f"{metric.unit} (times {metric.factor:g})"
    return [metric.meaning, metric.label, unit, metric.better]


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    write_text(GUIDE, guide(GUIDE.read_text(encoding="utf-8")))
