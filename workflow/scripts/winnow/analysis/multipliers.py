"""Accuracy against the power of the multiplications: exact multipliers, those of fewer bits, and approximate ones."""

from __future__ import annotations

import pandas as pd

from winnow.results.names import short_names
from winnow.results.over_seeds import combinations
from winnow.study.multiplier_cost import exact_cost
from winnow.study.multipliers import EXACT
from winnow.study.recipe_axes import FULL_BITS

INT8, FEWER_BITS, APPROXIMATE = "exact, 8 x 8 bits", "exact, fewer bits", "approximate"
KINDS = (INT8, FEWER_BITS, APPROXIMATE)


def multiplier_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the networks whose multiplications have a known power, means over seeds.

    Args:
        results: rows of results.csv of one data set and network.

    Returns:
        run, recipe, name, n, kind (of KINDS), power (share of exact 8 x 8 multipliers), top1 and top1_std (shares),
        source (of the power of an exact multiplier; empty for others), front (whether no other one has at least as good
        an accuracy for no more power), and beaten_by: of an approximate one, the recipe of fewer bits that is at least
        as accurate for no more power, of the same run; None where there is none. In the order of power.
    """
    columns = ["run", "recipe", "name", "n", "kind", "power", "top1", "top1_std", "source", "front", "beaten_by"]
    if "multiplier_power" not in results or results["multiplier_power"].isna().all():
        return pd.DataFrame(columns=columns)
    table = combinations(results).dropna(subset=["multiplier", "multiplier_power", "top1"])
    table = table.assign(name=short_names(table), power=table["multiplier_power"])
    bits = [(int(row["activation_bits"]), int(row["weight_bits"])) for _, row in table.iterrows()]
    exact = (table["multiplier"] == EXACT).tolist()
    table["kind"] = [
        APPROXIMATE if not own else INT8 if min(pair) == FULL_BITS else FEWER_BITS
        for own, pair in zip(exact, bits, strict=True)
    ]
    table["source"] = [exact_cost(*pair).source if own else "" for own, pair in zip(exact, bits, strict=True)]
    table = table.sort_values(["power", "top1"], ascending=[True, False], ignore_index=True)
    table["front"] = table["top1"] > table["top1"].cummax().shift(fill_value=float("-inf"))
    fewer = table[table["kind"] == FEWER_BITS]
    table["beaten_by"] = [
        better(row, fewer[fewer["run"] == row["run"]]) if row["kind"] == APPROXIMATE else None
        for _, row in table.iterrows()
    ]
    return table[columns]


def better(circuit: pd.Series, fewer: pd.DataFrame) -> str | None:
    """Return the most accurate exact recipe of fewer bits that needs no more power and is no less accurate.

    Args:
        circuit: a combination with an approximate multiplier.
        fewer: those with exact ones of fewer bits.
    """
    within = fewer["multiplier_power"] <= circuit["multiplier_power"]
    found = fewer[within & (fewer["top1"] >= circuit["top1"])].sort_values("top1", ascending=False)
    return None if found.empty else str(found.iloc[0]["recipe"])
