"""The difference of two confusion matrices drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winnow.analysis.confusion import confusion_difference_data
from winnow.figures import style

_NAMED_CLASSES = 20  # more would not be legible


def confusion_difference(confusion: pd.DataFrame) -> Figure:
    """Draw the difference, blue where int8 gives an answer less often, orange where more often."""
    precision, data = confusion_difference_data(confusion)
    samples = int(confusion.loc[confusion["precision"] == "fp32", "count"].sum())
    figure = style.new_figure(4.6)
    axes = figure.subplots()
    largest = max(1, int(data.abs().to_numpy().max()))
    image = axes.imshow(data, cmap="PuOr_r", vmin=-largest, vmax=largest)
    axes.grid(visible=False)
    few = len(data) <= _NAMED_CLASSES
    for (row, column), value in np.ndenumerate(data.to_numpy()) if few else ():
        if value:
            dark = abs(value) > 0.6 * largest
            axes.text(
                column,
                row,
                f"{int(value):+d}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "black",
            )
    ticks = range(len(data)) if few else []
    axes.set_xticks(ticks, data.columns if few else [], rotation=90)
    axes.set_yticks(ticks, data.index if few else [])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    label, whole = f"images: {precision} minus fp32", MaxNLocator(integer=True)
    figure.colorbar(image, ax=axes, label=label, ticks=whole, shrink=0.8)
    seeds = confusion["seed"].nunique()
    changed = int(data.abs().to_numpy().sum() // 2)
    counted = f"{samples} test images, summed over {seeds} seed{'s' * (seeds != 1)}"
    text = f"{precision}, the method that differs most. {counted}; at least {changed} are answered differently. "
    none = f"No method gives any answer more or less often than fp32 does. {counted}."
    style.note(figure, f"{text}Diagonal: more (+) or fewer right answers." if changed else none)
    return figure
