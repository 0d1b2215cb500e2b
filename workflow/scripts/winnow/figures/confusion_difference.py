"""The difference of two confusion matrices drawn."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winnow.analysis.confusion import confusion_difference_data
from winnow.figures import style
from winnow.results.numbers import counted
from winnow.study.vocabulary import FP32

_NAMED_CLASSES = 20  # more would not be legible


def confusion_difference(confusion: pd.DataFrame) -> Figure:
    """Draw the difference, purple where int8 gives an answer less often, orange where more often."""
    recipe, data = confusion_difference_data(confusion)
    samples = int(confusion.loc[confusion["precision"] == FP32, "count"].sum())
    figure = style.new_figure(4.6)
    axes = figure.subplots()
    largest = max(1, int(data.abs().to_numpy().max()))
    few = len(data) <= _NAMED_CLASSES
    sns.heatmap(
        data,
        vmin=-largest,
        vmax=largest,
        cmap="PuOr_r",
        annot=data.map(lambda count: f"{count:+d}" if count else "") if few else None,
        fmt="",
        annot_kws={"fontsize": 8 if len(data) <= _NAMED_CLASSES // 2 else 6},
        square=True,
        xticklabels=few,
        yticklabels=few,
        cbar_kws={"label": f"images: {recipe} minus {FP32}", "ticks": MaxNLocator(integer=True), "shrink": 0.8},
        ax=axes,
    )
    axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(axis="y", labelrotation=0)
    axes.set(xlabel="predicted class", ylabel="true class")
    changed = int(data.abs().to_numpy().sum() // 2)
    images = f"{samples} test images, summed over {counted(confusion['seed'].nunique(), 'seed')}"
    text = f"{recipe}, the recipe that differs most. {images}; at least {changed} are answered differently. "
    none = f"No recipe gives any answer more or less often than {FP32} does. {images}."
    style.note(figure, f"{text}Diagonal: more (+) or fewer right answers." if changed else none)
    return figure
