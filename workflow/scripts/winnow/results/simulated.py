"""What a file that simulates a multiplier says nothing of, and what its multiplications cost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from winnow.results.columns import in_runtime
from winnow.study.multiplication import Multiplication
from winnow.study.multiplier_cost import exact_cost
from winnow.study.multipliers import EXACT, Cost
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import SCORED

# of the file, whose weights are float and stand there once for every term of the circuit
_OF_THE_FILE = (
    *("size_mb", "gzip_mb", "sparse_mb", "packed_mb", "parameters", "nonzero_parameters", "integer_parameters"),
    *(in_runtime(name, runtime) for name in ("integer_macs", "integer_layers") for runtime in SCORED),
    *(f"{runtime}_left_in_float" for runtime in SCORED),
    "saturating_layers",
)


def simulated(row: dict[str, Any], recipe: Recipe | None, found: Multiplication | None) -> dict[str, Any]:
    """Return a row of results.csv with what its multiplications cost, and how wrong its multipliers are.

    Layers that a recipe leaves in float cost none, and neither does an fp32 network. Accumulators and memory are not
    counted. Where the row is of a network whose multiplier is simulated, what the file takes is missing.

    Args:
        recipe: that it was quantized by, if any.
        found: what its file says of its multipliers, if they are not exact.
    """
    cost = _cost(recipe, found)
    figures = {
        "multiplier_power": cost and cost.power,
        "multiplier_area": cost and cost.area,
        "multiplier_error": found and found.error.mean_relative,
    }
    file = dict.fromkeys(_OF_THE_FILE) if recipe and recipe.approximate else {}
    return row | file | figures


def are_simulated(table: pd.DataFrame) -> pd.Series:
    """Return of each row of results.csv whether its multiplier is one that no processor here has."""
    return table.get("multiplier", pd.Series(EXACT, table.index)).fillna(EXACT) != EXACT


def _cost(recipe: Recipe | None, found: Multiplication | None) -> Cost | None:
    if recipe is None or "multiplier" not in recipe.axes or recipe.keep_float:
        return None
    if not recipe.approximate:
        return exact_cost(recipe.activation_bits, recipe.weight_bits)
    if recipe.assigned:
        return found.cost if found else None
    return recipe.circuit.cost
