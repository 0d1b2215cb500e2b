"""Training by epoch drawn."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winnow.analysis.training import training_curves_data
from winnow.figures import style
from winnow.figures.style import COLORS, LINES
from winnow.results.numbers import plain
from winnow.study.vocabulary import DENSE


def training_curves(history: pd.DataFrame) -> Figure:
    """Draw accuracy over epochs: the dense training, quantization-aware training, then each round of pruning."""
    data = training_curves_data(history)
    figure = style.new_figure(5.2)
    panels = figure.subplots(2, 1)
    dense = data[data["run"] == DENSE]
    for precision, label, place in (("fp32", "dense training", 0), ("qat", "quantization-aware training", 2)):
        part = dense[dense["precision"] == precision].sort_values("epoch")
        if len(part):
            panels[0].plot(part["epoch"], part["accuracy"], label=label, color=COLORS[place], linestyle=LINES[place])
            low, high = part["accuracy"] - part["accuracy_std"], part["accuracy"] + part["accuracy_std"]
            panels[0].fill_between(part["epoch"], low, high, color=COLORS[place], alpha=0.2, linewidth=0)
    rounds = data[(data["run"] != DENSE) & (data["precision"] == "fp32")].copy()
    rounds["round"] = rounds["run"].str.extract(r"/round(\d+)$", expand=False).astype(float)
    for place, (number, part) in enumerate(rounds.groupby("round")):
        quantiles = part.groupby("epoch")["accuracy"].quantile([0.25, 0.5, 0.75]).unstack()
        count = part["run"].nunique()
        label = f"after round {plain(number)} ({count} strateg{'y' if count == 1 else 'ies'})"
        color, line = COLORS[place % len(COLORS)], LINES[place % len(LINES)]
        panels[1].plot(quantiles.index, quantiles[0.5], label=label, color=color, linestyle=line)
        panels[1].fill_between(quantiles.index, quantiles[0.25], quantiles[0.75], color=color, alpha=0.15, linewidth=0)
    for panel, title in zip(panels, ("before pruning", "after each round of pruning"), strict=True):
        panel.set_title(title, loc="left")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_ylabel("validation accuracy (%)")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False)
        else:
            panel.text(0.5, 0.5, "no training of this kind yet", ha="center", transform=panel.transAxes)
    spread = style.spread_note(data["n"], "Band above")
    style.note(figure, f"{spread} Below: median and middle half over all strategies of the round.")
    return figure
