"""What `make check` says: whether everything fits, and of networks that are taken as they are their first numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from winnow.config.recommend import RecommendSettings
from winnow.results.columns import METRICS
from winnow.results.numbers import counted, percent
from winnow.results.report_table import ReportTable
from winnow.results.timed import Timed
from winnow.results.timed_columns import TIMED
from winnow.study.check import Check

_SHOWN = [METRICS[name] for name in ("top1", "size_mb", "sqnr_db", "integer_macs")]


def check_table(results: pd.DataFrame, checks: Sequence[Check], settings: RecommendSettings) -> ReportTable:
    """Lay out the networks that could be scored without training, a row for each recipe.

    Args:
        results: the table of `collect`; empty if all networks are to be trained.
        checks: of every data set and network.
        settings: whose runtime, batch size and threads the latency is taken from.
    """
    timed = Timed(settings.runtime, settings.batch_size, settings.threads)
    columns = {metric.name: metric for metric in _SHOWN} | {timed.column("latency"): TIMED["latency"]}
    rows = [
        {"data set": row["dataset"], "network": row["model"], "recipe": row["recipe"]}
        | {metric.heading(): metric.text(row[name]) for name, metric in columns.items() if name in results}
        for row in results.to_dict("records")
    ]
    notes = [f"Latency: {timed}."] if timed.column("latency") in results else []
    return ReportTable(
        title="Check",
        data=results,
        shown=pd.DataFrame(rows),
        groups=("data set", "network"),
        labels=("recipe",),
        notes=[*notes, *_notes(results, checks)],
        nothing="\n\n".join(_notes(results, checks)),
    )


def _notes(results: pd.DataFrame, checks: Sequence[Check]) -> Iterator[str]:
    scored = set(zip(results["dataset"], results["model"], strict=True)) if len(results) else set()
    for check in checks:
        tried = f"all {counted(len(check.checks), 'thing')} that the study asks of it work"
        known = "" if (check.dataset, check.model) in scored else "; it is trained first, and has no numbers yet"
        yield f"{check.dataset}/{check.model}: {tried}{known}."
    for row in results.to_dict("records"):
        if not row["learned"]:
            yield (
                f"{row['dataset']}/{row['model']}, {row['recipe']}: no better than always answering the most "
                f"frequent class ({percent(row['most_frequent_class'])}); its log has the usual causes."
            )
