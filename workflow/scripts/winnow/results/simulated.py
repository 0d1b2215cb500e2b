"""What a file that simulates a multiplier says nothing of, and what its multiplications cost."""

from __future__ import annotations

from typing import Any

from winnow.results.columns import in_runtime
from winnow.study.multiplier_cost import exact_cost
from winnow.study.multipliers import EXACT, multiplier
from winnow.study.vocabulary import SCORED

# of the file, whose weights are float and stand there once for every term of the circuit
_OF_THE_FILE = (
    *("size_mb", "gzip_mb", "sparse_mb", "packed_mb", "parameters", "nonzero_parameters", "integer_parameters"),
    *(in_runtime(name, runtime) for name in ("integer_macs", "integer_layers") for runtime in SCORED),
    *(f"{runtime}_left_in_float" for runtime in SCORED),
    "saturating_layers",
)


def simulated(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of results.csv with the relative power and area of its multiplications, by its recipe.

    Layers that a recipe leaves in float have none, and neither has an fp32 network. Accumulators and memory are not
    counted. Where the row is of a network whose multiplier is simulated, what the file takes is missing.
    """
    name = row["multiplier"]
    if name is None or row["keep_float"]:
        return row | {"multiplier_power": None, "multiplier_area": None}
    if name == EXACT:
        cost = exact_cost(int(row["activation_bits"]), int(row["weight_bits"]))
        return row | {"multiplier_power": cost.power, "multiplier_area": cost.area}
    found = multiplier(name).cost
    figures = {"multiplier_power": found and found.power, "multiplier_area": found and found.area}
    return row | dict.fromkeys(_OF_THE_FILE) | figures
