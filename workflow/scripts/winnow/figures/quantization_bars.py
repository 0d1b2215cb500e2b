"""What each recipe of quantization costs and buys, drawn."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winnow.analysis.quantization import quantization_bars_data
from winnow.figures import style
from winnow.figures.looks import Looks, recipe_looks
from winnow.results.numbers import plain, three_digits
from winnow.results.recipes import recipes_of
from winnow.study.vocabulary import FP32, PRECISIONS, RUNTIMES, Precision

_COLUMNS = 2
_BAR = 0.2  # inches
_FEW = 8  # recipes; of more, only _PANELS metrics are drawn
_PANELS = 4


def quantization_bars(results: pd.DataFrame) -> Figure:
    """Draw a panel of bars for each metric, with their numbers; the dashed line is the fp32 base."""
    data = quantization_bars_data(results)
    recipes = recipes_of(data)
    shown = _shown(list(data["metric"].unique()), len(recipes))
    rows = -(-len(shown) // _COLUMNS)
    figure = style.new_figure(0.1 + (0.5 + _BAR * len(recipes)) * rows)
    panels = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).flatten()
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for panel, metric in zip(panels, shown, strict=False):
        _bars(panel, data[data["metric"] == metric], recipes, recipe_looks(data))
        panel.tick_params(axis="y", labelsize=7 if len(recipes) > _FEW else None)
    counts = data.groupby(["metric", "recipe"]).size()
    text = f"{style.spread_note(counts)} Dashed: the {FP32} base."
    if any(recipe not in PRECISIONS for recipe in recipes):
        text += " The colour is that of the method."
    style.note(figure, text)
    return figure


def _shown(metrics: list[str], recipes: int) -> list[str]:
    """Leave out runtimes that run no quantized file, and all panels of energy but one: it follows latency.

    Of many recipes only accuracy, size, error and the first latency are left.
    """
    energy = [metric for metric in metrics if metric.startswith("energy_")]
    compared = [f"latency_{name}_" for name, runtime in RUNTIMES.items() if not runtime.ships]
    left_out = (*compared, *energy[1:])
    shown = [metric for metric in metrics if not metric.startswith(left_out)]
    return shown if recipes <= _FEW else [metric for metric in shown if metric != "training_seconds"][:_PANELS]


def _bars(axes: Axes, part: pd.DataFrame, recipes: Mapping[str, Precision], looks: Looks) -> None:
    sns.barplot(
        part,
        x="value",
        y="recipe",
        order=list(recipes),
        **looks.bars("recipe"),
        errorbar="sd",
        err_kws={"linewidth": 1, "color": "black"},
        capsize=0.3,
        saturation=1,
        edgecolor="white",
        legend=False,
        ax=axes,
    )
    for container, precision in zip(axes.containers, recipes.values(), strict=True):
        for bar in container:
            bar.set_hatch(precision.hatch)
    values = part.groupby("recipe")["value"].agg(["mean", "std"])
    digits = _two_decimals if part["metric"].iloc[0] == "top1" else _three_digits
    for place, recipe in enumerate(recipes):
        if recipe in values.index:
            mean, std = float(values["mean"][recipe]), float(values["std"][recipe])
            text = f"{digits(mean)} ± {std:.2g}" if std > 0 and len(recipes) <= _FEW else digits(mean)
            end = mean + std if std > 0 else mean
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.2}  # over the line of the base
            axes.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=8, bbox=box)
    if FP32 in values.index:
        axes.axvline(float(values["mean"][FP32]), color="black", linewidth=0.8, linestyle="--")
    axes.set_title(part["label"].iloc[0], loc="left", fontsize=9)
    axes.set(xlabel="", ylabel="", xticks=[], xlim=(0, 1.5 * values.sum(axis=1).max()))
    axes.spines["bottom"].set_visible(False)


def _two_decimals(value: float) -> str:
    return f"{value:.2f}"


def _three_digits(value: float) -> str:
    return plain(three_digits(value))
