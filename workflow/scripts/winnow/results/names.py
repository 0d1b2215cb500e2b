"""Short names of networks among others."""

from __future__ import annotations

import pandas as pd

from winnow.results.numbers import plain
from winnow.study.vocabulary import AXES, DENSE
from winnow.study.words import NONE


def short_names(table: pd.DataFrame) -> pd.Series:
    """Return a short name for each row: what was pruned, by the axes that vary among these rows, and its recipe."""
    return strategy_names(table) + ", " + table["recipe"].astype(str)


def strategy_names(table: pd.DataFrame) -> pd.Series:
    """Return what was pruned for each row, e.g. `l1 90 %, 5 rounds`, by the axes that vary among these rows."""
    pruned = table[table["run"] != DENSE]
    varying = [axis for axis in AXES if axis not in ("ratio", "rounds") and pruned[axis].dropna().nunique() > 1]
    several = pruned["rounds"].dropna().nunique() > 1
    return table.apply(lambda row: strategy_name(row, varying, several), axis=1)


def strategy_name(row: pd.Series, varying: list[str], rounds: bool) -> str:
    """Return e.g. `l1 90 %, 5 rounds` from the axes that vary, `dense` for what was not pruned."""
    if row["run"] == DENSE:
        return DENSE
    parts = [plain(row[axis]) for axis in varying if row[axis] != NONE or axis == "rewind"]
    name = " ".join([*parts, f"{100 * row['requested_sparsity']:.3g} %"])
    if row["round"] != row["rounds"]:
        name += f", round {row['round']:g} of {row['rounds']:g}"
    elif rounds:
        name += ", one-shot" if row["rounds"] == 1 else f", {row['rounds']:g} rounds"
    return name
