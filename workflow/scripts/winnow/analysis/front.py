"""The Pareto front: the networks that no other one beats in both accuracy and cost."""

from __future__ import annotations

import pandas as pd

from winnow.config.recommend import RecommendSettings
from winnow.results.columns import METRICS
from winnow.results.names import short_names
from winnow.results.not_measured import Missing
from winnow.results.numbers import three_digits
from winnow.results.over_seeds import combinations
from winnow.results.timed import Timed, estimated, timed_configurations
from winnow.results.timed_columns import TIMED

COSTS = {"size": METRICS["size_mb"]} | {kind: TIMED[kind] for kind in ("latency", "energy")}
"""What accuracy is paid with."""
_COLUMNS = ["run", "recipe", "precision", "name", "n", "top1", "top1_std", "cost", "cost_std", "front"]


def cost_column(results: pd.DataFrame, kind: str, settings: RecommendSettings) -> tuple[str, str]:
    """Return the column that a kind of cost is read from, and the label of its axis.

    Latency and energy are those of the configuration that `recommend` looks at; where this was not measured, those
    of the first one that was.

    Raises:
        Missing: nothing was measured.
    """
    metric = COSTS[kind]
    if kind not in TIMED:
        return metric.name, metric.heading()
    wanted = Timed(settings.runtime, settings.batch_size, settings.threads)
    for timed in [wanted, *timed_configurations(results)]:
        column = timed.column(kind)
        if column in results and results[column].notna().any():
            return column, f"{metric.heading(estimated=estimated(results, metric))}; {timed}"
    raise Missing(f"No {kind} was measured yet; the rule benchmark does it.")


def pareto_data(results: pd.DataFrame, column: str) -> pd.DataFrame:
    """Find the front over all combinations of pruning and recipe of one network, by means over seeds.

    Args:
        results: rows of results.csv of one data set and network.
        column: the cost.

    Returns:
        run, recipe, precision, name, n, top1 and cost with their standard deviations `_std` (missing for one seed), and
        `front`: whether no other combination is at least as good in both and better in one. In the order of the cost.
        Costs that differ only beyond the three digits that are shown count as equal.
    """
    table = combinations(results)
    if column not in table:
        return pd.DataFrame(columns=_COLUMNS)
    table = table.rename(columns={column: "cost", f"{column}_std": "cost_std"}).dropna(subset=["cost", "top1"])
    table = table.assign(name=short_names(table) if len(table) else "", shown=table["cost"].map(three_digits))
    table = table.sort_values(["shown", "top1"], ascending=[True, False], ignore_index=True)
    best = table["top1"].cummax().shift(fill_value=float("-inf"))
    table["front"] = table["top1"] > best
    return table[_COLUMNS]
