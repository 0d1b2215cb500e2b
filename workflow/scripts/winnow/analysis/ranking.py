"""The best and the worst experiments of a study."""

from __future__ import annotations

import pandas as pd

from winnow.results.columns import METRICS
from winnow.results.names import short_names
from winnow.results.numbers import spread
from winnow.results.over_seeds import NETWORK, combinations
from winnow.results.report_table import ReportTable
from winnow.study.vocabulary import DENSE, FP32

COUNT = 5
_COLUMNS = ["dataset", "model", "rank", "network", "top1", "top1_std", "n", "change", "size_mb", "training_seconds"]


def ranking(results: pd.DataFrame, count: int = COUNT) -> pd.DataFrame:
    """Return the most and the least accurate combinations of pruning and recipe, means over seeds.

    Returns:
        dataset, model, rank (from 1, best first; all ranks when there are at most twice `count`), network, top1 and
        top1_std (%, std missing for one seed), n, change (points from the dense fp32 network), size_mb,
        training_seconds, run, recipe.
    """
    tables = []
    for _, own in results.groupby(NETWORK):
        table = combinations(own).dropna(subset=["top1"])
        if table.empty:
            continue
        base = table.loc[(table["run"] == DENSE) & (table["precision"] == FP32), "top1"]
        change = METRICS["top1_change"].factor * (table["top1"] - base.mean())
        table = table.assign(network=short_names(table), change=change)
        table[["top1", "top1_std"]] *= METRICS["top1"].factor
        table = table.sort_values(["top1", "size_mb", "run", "recipe"], ascending=[False, True, True, True])
        table = table.assign(rank=range(1, len(table) + 1))
        middle = (table["rank"] > count) & (table["rank"] <= len(table) - count)
        tables.append(table.loc[~middle, [*_COLUMNS, "run", "recipe"]])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*_COLUMNS, "run", "recipe"])


def ranking_table(results: pd.DataFrame) -> ReportTable:
    """Return the best and the worst experiments as they are shown to people."""
    table = ranking(results)
    rows = [
        {
            "data set": row["dataset"],
            "model": row["model"],
            "rank": str(row["rank"]),
            "network": row["network"],
            METRICS["top1"].heading(short=True): spread(row["top1"], row["top1_std"], METRICS["top1"].decimals),
            METRICS["top1_change"].heading(short=True): f"{row['change']:+.2f}",
            METRICS["size_mb"].heading(short=True): METRICS["size_mb"].text(row["size_mb"]),
            METRICS["training_seconds"].heading(short=True): METRICS["training_seconds"].text(row["training_seconds"]),
            "n": str(row["n"]),
        }
        for row in table.to_dict("records")
    ]
    return ReportTable(
        title="Best and worst experiments",
        data=table,
        shown=pd.DataFrame(rows),
        groups=("data set", "model"),
        labels=("rank", "network"),
        notes=[f"The {COUNT} best and the {COUNT} worst by mean test accuracy, ± one standard deviation over n seeds."],
        nothing="No network has been evaluated yet.",
    )
