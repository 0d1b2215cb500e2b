"""Figures about pruning: what accuracy each strategy keeps, and what speed it really buys."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow import style
from winnow.study import AXES, DENSE
from winnow.style import COLORS, LINES, MARKERS, Missing
from winnow.summary import largest_batches, plain, timed_configurations

_IGNORED = ("ratio",)  # it is the horizontal axis
_TICKS = 8
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


def accuracy_sparsity(results: pd.DataFrame) -> Figure:
    """Draw one line for each strategy, the dense base line, and chance as dotted grey lines."""
    return _lines(results, accuracy_sparsity_data(results))


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


def one_shot_iterative(results: pd.DataFrame) -> Figure:
    return _lines(results, one_shot_iterative_data(results))


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


def rewinding(results: pd.DataFrame) -> Figure:
    return _lines(results, rewinding_data(results))


def _lines(results: pd.DataFrame, data: pd.DataFrame) -> Figure:
    figure = style.new_figure(4.0)
    axes = figure.subplots()
    counts = list(data["n"])
    base = dense_accuracy(results)
    if base:
        mean, std, count = base
        axes.axhline(mean, color="black", linestyle="--", linewidth=1, label="dense")
        if pd.notna(std):
            axes.axhspan(mean - std, mean + std, color="black", alpha=0.08, linewidth=0)
            axes.get_lines()[0].set_label("dense, ± one standard deviation")
        counts.append(count)
    for place, (name, part) in enumerate(data.groupby("series", sort=False)):
        chance = part["criterion"].iloc[0] == "random"
        axes.errorbar(
            part["sparsity"],
            part["mean"],
            part["std"],
            label=f"{name} (control)" if chance else name,
            color=style.GREY if chance else COLORS[place % len(COLORS)],
            linestyle=":" if chance else LINES[place % len(LINES)],
            marker=MARKERS[place % len(MARKERS)],
            markerfacecolor="none",  # what lies below stays visible
            capsize=2,
            elinewidth=0.8,
        )
    _sparsity_axis(axes, data["sparsity"])
    axes.set_ylabel("top-1 accuracy, test (%)")
    style.legend_below(axes)
    kept = {axis: data[axis].iloc[0] for axis in AXES if data[axis].nunique() == 1 and axis != "ratio"}
    fixed = ", ".join(f"{axis} {plain(value)}" for axis, value in kept.items() if plain(value) != "none")
    style.note(figure, f"{style.spread_note(counts)} fp32, after the last round. All: {fixed}.")
    return figure


def _sparsity_axis(axes: Axes, sparsity: pd.Series) -> None:
    """Stretch the axis towards high sparsity, where accuracy breaks down: what counts is how much is left."""
    if sparsity.max() < 100 and sparsity.max() - sparsity.min() > 20:
        axes.set_xscale("function", functions=(lambda s: -((101 - s) ** 0.5), lambda t: 101 - t**2))
        axes.set_xticks(sorted({round(value, 1) for value in sparsity}), minor=False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(axis="x", labelrotation=60)
    elif sparsity.nunique() <= _TICKS:
        axes.set_xticks(sorted({round(value, 1) for value in sparsity}))
    unit = "weights or channels gone (%)"
    axes.set_xlabel(f"achieved sparsity: {unit}")


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


def speedup(results: pd.DataFrame) -> Figure:
    """Draw measured against theoretical speedup; on the diagonal, every removed multiplication would save its time."""
    data = speedup_data(results)
    figure = style.new_figure(4.2)
    axes = figure.subplots()
    structures = sorted(data["structure"].unique())
    for place, (configuration, part) in enumerate(data.groupby("configuration", sort=False)):
        for structure, points in part.groupby("structure"):
            hollow = structure == "unstructured" and len(structures) > 1
            axes.errorbar(
                points["theoretical"],
                points["measured"],
                points["measured_std"],
                linestyle="none",
                marker=MARKERS[place % len(MARKERS)],
                color=COLORS[place % len(COLORS)],
                markerfacecolor="none" if hollow else COLORS[place % len(COLORS)],
                elinewidth=0.7,
                label=f"{structure}: {configuration}" if len(structures) > 1 else configuration,
            )
    low = min(0.9, data["measured"].min())
    high = max(data["theoretical"].max(), data["measured"].max()) * 1.1
    axes.plot([low, high], [low, high], color="black", linestyle="--", linewidth=0.9, label="as theory has it")
    axes.axhline(1, color=style.GREY, linewidth=0.9, linestyle=":", label="no faster than dense")
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.set_xlabel("theoretical speedup: multiplications of the dense network over non-zero ones")
    axes.set_ylabel("measured speedup of latency")
    style.legend_below(axes)
    style.note(figure, f"{style.spread_note(data['n'])} fp32, after the last round.")
    return figure
