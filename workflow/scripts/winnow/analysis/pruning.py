"""What accuracy each strategy keeps, and what speed it really buys."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from winnow.results.not_measured import Missing
from winnow.results.numbers import plain
from winnow.results.timed import largest_batches, timed_configurations
from winnow.study.vocabulary import AXES, DENSE

_IGNORED = ("ratio",)  # it is the horizontal axis
_POINTS = ["series", "sparsity", "mean", "std", "n", *AXES, "round"]


def accuracy_sparsity_data(results: pd.DataFrame) -> pd.DataFrame:
    """Average the accuracy of each strategy after its last round, in fp32.

    Args:
        results: rows of results.csv of one data set and network.

    Returns:
        series (name by the axes that vary, without the ratio), sparsity and mean (both in %), std (points, missing for
        one seed), n, the axes; sorted by series and sparsity.

    Raises:
        Missing: nothing was pruned, or not yet.
    """
    last = results[(results["round"] == results["rounds"]) & (results["precision"] == "fp32")]
    if last.empty:
        raise Missing("No pruned network has been evaluated after its last round.")
    own = [axis for axis in AXES if axis not in _IGNORED]
    varying = [axis for axis in own if last[axis].nunique() > 1]
    rows = []
    for keys, group in last.groupby([*own, "requested_sparsity"], sort=False):
        values = dict(zip([*own, "requested_sparsity"], keys, strict=True))
        top1 = 100 * group["top1"]
        point = {"series": _series(values, varying), "sparsity": 100 * group["achieved_sparsity"].mean()}
        point |= {"mean": top1.mean(), "std": top1.std(ddof=1), "n": len(top1), "round": group["round"].iloc[0]}
        rows.append(point | {axis: values.get(axis, group[axis].iloc[0]) for axis in AXES})
    return pd.DataFrame(rows)[_POINTS].sort_values(["series", "sparsity"], ignore_index=True)


def _series(values, varying: Sequence[str]) -> str:
    names = {
        "rounds": lambda value: "one-shot" if value == 1 else f"{plain(value)} rounds",
        "rewind": lambda value: {"none": "fine-tuned"}.get(value, f"rewind {value}"),
        "shuffle": lambda value: "" if value == "none" else f"shuffled {value}",
    }
    parts = [names.get(axis, plain)(values[axis]) for axis in varying]
    return ", ".join(filter(None, parts)) or f"{values['criterion']}, {values['structure']}"


def dense_accuracy(results: pd.DataFrame) -> tuple[float, float, int] | None:
    """Return (mean, std, n) of the dense fp32 network's accuracy in %, None if it has not been evaluated."""
    top1 = 100 * results.loc[(results["run"] == DENSE) & (results["precision"] == "fp32"), "top1"]
    return (top1.mean(), top1.std(ddof=1), len(top1)) if len(top1) else None


def one_shot_iterative_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the points of strategies that were made both in one go and in several rounds.

    Raises:
        Missing: there are none.
    """
    data = accuracy_sparsity_data(results)
    same = [axis for axis in AXES if axis not in ("rounds", "ratio")]
    both = data.groupby(same)["rounds"].transform(lambda rounds: rounds.min() == 1 < rounds.max())
    if not both.any():
        raise Missing("No strategy was made both in one go and in rounds; pruning.rounds: [1, 5] compares them.")
    return data[both].reset_index(drop=True)


def rewinding_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the points of strategies that differ in what is trained after pruning.

    Raises:
        Missing: there are none.
    """
    data = accuracy_sparsity_data(results)
    same = [axis for axis in AXES if axis not in ("rewind", "ratio")]
    several = data.groupby(same)["rewind"].transform("nunique") > 1
    if not several.any():
        raise Missing("Only one mode of rewinding was run; pruning.rewind: [none, init, 2] compares them.")
    return data[several].reset_index(drop=True)


def speedup_data(results: pd.DataFrame) -> pd.DataFrame:
    """Set the measured speedup over the dense network of the same precision beside the theoretical one.

    Returns:
        run, structure, sparsity (%), theoretical, configuration (runtime, batch and threads), measured, measured_std,
        n; fp32, after the last round, means over seeds; of each runtime the largest batch on the fewest threads.

    Raises:
        Missing: nothing was pruned, or not yet timed.
    """
    last = results[(results["round"] == results["rounds"]) & (results["precision"] == "fp32")]
    rows = []
    for timed in largest_batches(timed_configurations(results)):
        column = timed.column("speedup")
        for run, group in last.dropna(subset=[column, "theoretical_speedup"]).groupby("run", sort=False):
            first = group.iloc[0]
            values = {"run": run, "structure": first["structure"], "sparsity": 100 * group["achieved_sparsity"].mean()}
            values |= {"theoretical": group["theoretical_speedup"].mean(), "configuration": str(timed)}
            measured = group[column]
            rows.append(values | {"measured": measured.mean(), "measured_std": measured.std(ddof=1), "n": len(group)})
    if not rows:
        raise Missing("No pruned network has been timed after its last round.")
    return pd.DataFrame(rows)
