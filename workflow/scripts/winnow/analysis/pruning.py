"""What accuracy each strategy keeps, and what speed it really buys."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from winnow.results.not_measured import Missing
from winnow.results.numbers import plain
from winnow.results.over_seeds import combinations
from winnow.results.timed import largest_batches, timed_configurations
from winnow.study.vocabulary import AXES, DENSE, FP32, criterion
from winnow.study.words import NONE

_SERIES = tuple(axis for axis in AXES if axis != "ratio")  # what one line of points has in common
_POINT = [*_SERIES, "requested_sparsity"]
_LINES = 8  # in one panel; more cannot be told apart
_SPLIT = ("structure", "rewind", "rounds", "scope", "shuffle")  # axes that panels are made for, if there must be some


def accuracy_sparsity_seeds(results: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy of each strategy after its last round, in fp32, one row for each seed.

    Args:
        results: rows of results.csv of one data set and network.

    Returns:
        series (name by the axes that vary, without the ratio), sparsity (achieved, mean over seeds) and accuracy (both
        in %), the axes, requested_sparsity, round, seed; sorted by the axes and sparsity, controls last.

    Raises:
        Missing: nothing was pruned, or not yet.
    """
    last = _last_rounds(results)
    data = last[[*AXES, "requested_sparsity", "round", "seed"]].assign(
        series=_names(last, _varying(last)),
        sparsity=100 * last.groupby(_POINT)["achieved_sparsity"].transform("mean"),
        accuracy=100 * last["top1"],
        control=_controls(last),
    )
    data = data.sort_values(["control", *_SERIES, "sparsity", "seed"], ignore_index=True)
    return data.drop(columns="control")


def accuracy_sparsity_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy of each strategy after its last round, in fp32, mean over seeds.

    Args:
        results: rows of results.csv of one data set and network.

    Returns:
        series, sparsity and mean (both in %), std (points, missing for one seed), n, the axes, round; sorted by series
        and sparsity.

    Raises:
        Missing: nothing was pruned, or not yet.
    """
    means = combinations(_last_rounds(results))
    data = means.assign(
        series=_names(means, _varying(means)),
        sparsity=100 * means["achieved_sparsity"],
        mean=100 * means["top1"],
        std=100 * means["top1_std"],
        n=means["top1_n"],
    )
    data = data[["series", "sparsity", "mean", "std", "n", *AXES, "round"]]
    return data.sort_values(["series", "sparsity"], ignore_index=True)


def _last_rounds(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of strategies after their last round, in fp32.

    Raises:
        Missing: there are none.
    """
    last = results[(results["round"] == results["rounds"]) & (results["precision"] == FP32)]
    if last.empty:
        raise Missing("No pruned network has been evaluated after its last round.")
    return last


def strategies_in_panels(data: pd.DataFrame, compared: str | None = None) -> pd.DataFrame:
    """Divide points of strategies into panels, none of which holds more lines than can be told apart.

    Args:
        data: what `accuracy_sparsity_seeds` returns, or rows of it.
        compared: the axis whose values are the lines, so that every other one that varies makes panels; None for as
            many axes in each panel as fit.

    Returns:
        The data with `panel` and `line`, the names of both (a panel is nameless if it is the only one), and
        `control`: whether the line holds none but controls.
    """
    lines = _varying(data) if compared is None else [compared]
    for axis in _SPLIT if compared is None else ():
        if axis in lines and data.groupby(lines).ngroups > _LINES:
            lines.remove(axis)
    panels = [axis for axis in _varying(data) if axis not in lines]
    data = data.assign(panel=_names(data, panels) if panels else "", line=_names(data, lines))
    return data.assign(control=_controls(data).groupby(data["line"]).transform("all"))


def _varying(data: pd.DataFrame) -> list[str]:
    return [axis for axis in _SERIES if data[axis].nunique() > 1]


def _controls(data: pd.DataFrame) -> pd.Series:
    return data["criterion"].map({name: criterion(name).control for name in data["criterion"].unique()})


def _names(data: pd.DataFrame, axes: Sequence[str]) -> pd.Series:
    """Name strategies by some axes; by criterion and structure where these leave no name."""
    words = {
        "rounds": lambda value: "one-shot" if value == 1 else f"{plain(value)} rounds",
        "rewind": lambda value: {NONE: "fine-tuned"}.get(value, f"rewind {value}"),
        "shuffle": lambda value: "" if value == NONE else f"shuffled {value}",
    }

    def name(row: pd.Series) -> str:
        parts = [words.get(axis, plain)(row[axis]) for axis in axes]
        return ", ".join(filter(None, parts)) or f"{row['criterion']}, {row['structure']}"

    return data.apply(name, axis=1)


def dense_accuracy(results: pd.DataFrame) -> tuple[float, float, int] | None:
    """Return (mean, std, n) of the dense fp32 network's accuracy in %, None if it has not been evaluated."""
    means = combinations(results[(results["run"] == DENSE) & (results["precision"] == FP32)])
    row = means.iloc[0] if len(means) else None
    return None if row is None else (100 * row["top1"], 100 * row["top1_std"], row["top1_n"])


def one_shot_iterative_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `accuracy_sparsity_seeds` of strategies that were made both in one go and in several rounds.

    Raises:
        Missing: there are none.
    """
    data = accuracy_sparsity_seeds(results)
    same = [axis for axis in _SERIES if axis != "rounds"]
    both = data.groupby(same)["rounds"].transform(lambda rounds: rounds.min() == 1 < rounds.max())
    if not both.any():
        raise Missing("No strategy was made both in one go and in rounds; pruning.rounds: [1, 5] compares them.")
    return data[both].reset_index(drop=True)


def rewinding_data(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `accuracy_sparsity_seeds` of strategies that differ in what is trained after pruning.

    Raises:
        Missing: there are none.
    """
    data = accuracy_sparsity_seeds(results)
    several = data.groupby([axis for axis in _SERIES if axis != "rewind"])["rewind"].transform("nunique") > 1
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
    means = combinations(_last_rounds(results)).dropna(subset=["theoretical_speedup"])
    rows = []
    for timed in largest_batches(timed_configurations(results)):
        column = timed.column("speedup")
        for _, row in means[means[f"{column}_n"] > 0].iterrows():
            values = {"run": row["run"], "structure": row["structure"], "sparsity": 100 * row["achieved_sparsity"]}
            values |= {"theoretical": row["theoretical_speedup"], "configuration": str(timed)}
            values |= {"measured": row[column], "measured_std": row[f"{column}_std"], "n": row[f"{column}_n"]}
            rows.append(values)
    if not rows:
        raise Missing("No pruned network has been timed after its last round.")
    return pd.DataFrame(rows)
