"""Accuracy against the power of the multiplications, drawn."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.analysis.multipliers import APPROXIMATE, FEWER_BITS, KINDS, multiplier_data
from winnow.figures import style
from winnow.figures.looks import series_looks
from winnow.results.columns import METRICS
from winnow.results.not_measured import Missing
from winnow.results.numbers import listed
from winnow.study.multiplier_cost import MODEL
from winnow.study.multipliers import EVOAPPROX
from winnow.study.vocabulary import DENSE, FP32

_NUMBERED = 8  # points of the front


def multiplier_power(results: pd.DataFrame) -> Figure:
    """Draw the front of accuracy and power over exact, low-bit and approximate multipliers.

    Args:
        results: rows of results.csv of one data set and network.

    Raises:
        Missing: there is nothing to compare.
    """
    data = multiplier_data(results)
    if len(data) < 2:
        raise Missing("Fewer than two networks have multipliers of known power; a comparison needs at least two.")
    data = data.assign(power=100 * data["power"], accuracy=100 * data["top1"], accuracy_std=100 * data["top1_std"])
    figure = style.new_figure(4.1)
    axes = figure.subplots()
    axes.margins(x=0.09, y=0.12)
    looks = series_looks([kind for kind in KINDS if kind in set(data["kind"])])
    sns.scatterplot(data, **looks.points("kind"), x="power", y="accuracy", ax=axes, s=46, zorder=4)
    front = data[data["front"]]
    axes.step(front["power"], front["accuracy"], where="post", color="black", linewidth=0.8, zorder=2)
    style.error_bars(axes, data, "power", "accuracy", "accuracy_std")
    base = results[(results["run"] == DENSE) & (results["precision"] == FP32)]["top1"]
    if len(base):
        axes.axhline(100 * base.mean(), color=style.GREY, linestyle="--", linewidth=0.8, label=f"dense {FP32}")
    metric = METRICS["multiplier_power"]
    axes.set(xlabel=f"{metric.label}, of exact 8 x 8 multipliers ({metric.unit})", ylabel="top-1 accuracy, test (%)")
    style.note(figure, " ".join(_notes(data)), _numbered(axes, front), legend=axes)
    return figure


def _numbered(axes: Axes, front: pd.DataFrame) -> list[str]:
    """Number the points of the front, of a long one the most accurate; return the key."""
    key = []
    for number, (_, row) in enumerate(front.tail(_NUMBERED).iterrows(), 1):
        axes.annotate(
            str(number), (row["power"], row["accuracy"]), (-4, 6), textcoords="offset points", ha="right", weight="bold"
        )
        key.append(f"{number}  {row['name']}: {row['accuracy']:.2f} % at {row['power']:.3g} % of the power")
    return key


def _notes(data: pd.DataFrame) -> list[str]:
    sources = set(data["source"])
    said = [style.spread_note(data["n"])]
    named = [*([EVOAPPROX] if EVOAPPROX in sources else []), *([f"a {MODEL}"] if MODEL in sources else [])]
    if named:
        said.append(f"Power of exact n x m multipliers: {listed(named)}.")
    circuits = data[data["kind"] == APPROXIMATE]
    if len(circuits) and (data["kind"] == FEWER_BITS).any():
        beaten = int(circuits["beaten_by"].notna().sum())
        if beaten == len(circuits):
            said.append("Plain low bits dominate: one is as accurate as every circuit for no more power.")
        else:
            said.append(f"{beaten} of {len(circuits)} circuits are no better than exact multipliers of fewer bits.")
    return said
