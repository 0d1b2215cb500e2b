"""Training by epoch drawn."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winnow.analysis.training import retraining_data, training_curves_data
from winnow.figures import style
from winnow.figures.looks import Looks, recipe_looks, series_looks
from winnow.results.numbers import counted, plain
from winnow.study.vocabulary import DENSE


def training_curves(history: pd.DataFrame) -> Figure:
    """Draw accuracy over epochs: the dense training run, quantization-aware training, then each round of pruning."""
    data = training_curves_data(history)
    dense = data[data["run"] == DENSE]
    rounds = retraining_data(data)
    counts = rounds.groupby("round")["run"].nunique()
    numbers = counts.index.to_list()
    names = {
        number: f"round {plain(number)} ({counted(counts[number], 'strategy', 'strategies')})" for number in numbers
    }
    rounds = rounds.assign(line=rounds["round"].map(names))
    figure = style.new_figure(5.6)
    above, below = figure.subplots(2, 1)
    _curves(above, dense, "recipe", recipe_looks(dense), "the dense network", errorbar="sd")
    middle = {"estimator": "median", "errorbar": ("pi", 50)}
    _curves(below, rounds, "line", series_looks(list(names.values())), "after each round of pruning", **middle)
    seeds = data.groupby(["run", "recipe", "epoch"]).size()
    spread = style.spread_note(seeds, "Band above")
    style.note(figure, f"{spread} Below: median and middle half over all strategies of the round.")
    return figure


def _curves(axes: Axes, data: pd.DataFrame, column: str, looks: Looks, title: str, **statistics: object) -> None:
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if data.empty:
        axes.set_title(title, loc="left")
        axes.text(0.5, 0.5, "no training run of this kind yet", ha="center", transform=axes.transAxes)
        return
    look = looks.lines(column) | {"markers": False}
    sns.lineplot(data, x="epoch", y="accuracy", **look, **statistics, err_kws={"alpha": 0.2, "linewidth": 0}, ax=axes)
    columns = style.legend_columns(list(looks.colors), 0.8 * style.WIDTH)
    place = {"bbox_to_anchor": (0, 1), "alignment": "left", "borderpad": 0}  # above, where it hides no data
    sns.move_legend(axes, "lower left", **place, ncols=columns, title=title)
