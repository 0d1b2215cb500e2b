"""What each method of quantization costs and buys, drawn."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from winnow.analysis.quantization import quantization_bars_data
from winnow.figures import style
from winnow.results.numbers import plain, three_digits
from winnow.study.vocabulary import PRECISIONS


def quantization_bars(results: pd.DataFrame) -> Figure:
    """Draw a panel of bars for each metric; the dashed line is the fp32 base."""
    data = quantization_bars_data(results)
    metrics = list(dict.fromkeys(data["metric"]))
    energy = [metric for metric in metrics if metric.startswith("energy_")]
    left_out = ("latency_torch", *energy[1:])  # one panel of energy: it follows latency
    shown = [metric for metric in metrics if not metric.startswith(left_out)]
    columns = 3
    rows = -(-len(shown) // columns)
    figure = style.new_figure(0.5 + 1.75 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(shown) :]:
        panel.set_axis_off()
    for panel, metric in zip(panels.flat, shown, strict=False):
        part = data[data["metric"] == metric]
        for position, row in enumerate(part.itertuples()):
            panel.bar(
                position,
                row.mean,
                yerr=None if pd.isna(row.std) else row.std,
                color=PRECISIONS[row.precision].color,
                hatch=PRECISIONS[row.precision].hatch,
                edgecolor="white",
                capsize=2,
            )
            text = f"{row.mean:.2f}" if metric == "top1" else plain(three_digits(row.mean))
            place = (position, row.mean + (0 if pd.isna(row.std) else row.std))
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.2}  # over the line of the base
            panel.annotate(text, place, (0, 2), textcoords="offset points", ha="center", fontsize=7, bbox=box)
        base = part.loc[part["precision"] == "fp32", "mean"]
        if len(base):
            panel.axhline(base.iloc[0], color="black", linewidth=0.8, linestyle="--")
        panel.set_xticks(range(len(part)), part["precision"], fontsize=7)
        panel.set_title(part["label"].iloc[0], fontsize=8)
        panel.margins(y=0.15)
        panel.grid(axis="x", visible=False)
    style.note(figure, style.spread_note(data["n"]) + " Dashed: the fp32 base.")
    return figure
