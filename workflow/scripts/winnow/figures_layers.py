"""Figures about the inside of a network: noise and sparsity by layer, answers by class, and training by epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winnow import style
from winnow.study import DENSE
from winnow.style import COLORS, LINES, PRECISION_COLORS, PRECISION_MARKERS, PRECISIONS, Missing
from winnow.summary import plain, short_names

_NAMED_CLASSES = 20  # more would not be legible
_SHOWN_RUNS = 24


def layer_sqnr_data(layers: pd.DataFrame) -> pd.DataFrame:
    """Average the signal-to-quantization-noise ratio of each layer of the dense network over seeds.

    Args:
        layers: rows of layers.csv of one data set and network.

    Returns:
        precision, position, layer, mean, std (dB; std missing for one seed), n.

    Raises:
        Missing: the dense network was not quantized.
    """
    part = layers[(layers["run"] == DENSE) & (layers["metric"] == "sqnr_db")].dropna(subset=["value"])
    if part.empty:
        raise Missing("No quantized form of the dense network was evaluated; quantization.methods names them.")
    grouped = part.groupby(["precision", "position", "layer"], sort=False)["value"]
    return grouped.agg(["mean", "std", "count"]).rename(columns={"count": "n"}).reset_index()


def layer_sqnr(layers: pd.DataFrame) -> Figure:
    """Draw a line for each method over the layers in their order."""
    data = layer_sqnr_data(layers)
    names = data.drop_duplicates("position").sort_values("position")
    figure = style.new_figure(3.6)
    axes = figure.subplots()
    for precision in PRECISIONS:
        part = data[data["precision"] == precision].sort_values("position")
        if len(part):
            axes.errorbar(
                part["position"],
                part["mean"],
                part["std"],
                color=PRECISION_COLORS[precision],
                marker=PRECISION_MARKERS[precision],
                linestyle=LINES[PRECISIONS.index(precision)],
                label=precision,
                capsize=2,
                elinewidth=0.7,
            )
    axes.set_xticks(names["position"], names["layer"], rotation=90, fontsize=7 if len(names) < 30 else 5)
    axes.set_xlabel("layer, from input to output")
    axes.set_ylabel("SQNR (dB), higher is better")
    style.legend_below(axes)
    style.note(figure, style.spread_note(data["n"]) + " The dense network; 10 dB more is a tenth of the noise.")
    return figure


def layer_sparsity_data(layers: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Average the sparsity of each layer over seeds, for strategies after their last round.

    Returns:
        One row for each strategy, sorted by sparsity, one column for each layer, in %; the index holds short names.

    Raises:
        Missing: nothing was pruned, or not yet.
    """
    last = results[(results["round"] == results["rounds"]) & (results["precision"] == "fp32")]
    part = layers[(layers["metric"] == "sparsity") & layers["run"].isin(last["run"])]
    if part.empty:
        raise Missing("No pruned network has been evaluated after its last round.")
    wide = 100 * part.pivot_table(index="run", columns=["position", "layer"], values="value", aggfunc="mean")
    wide.columns = [layer for _, layer in wide.columns]
    first = last.drop_duplicates("run").set_index("run", drop=False)
    names = short_names(first).str.removesuffix(", fp32")
    order = first.assign(name=names).sort_values(["achieved_sparsity", "name"])["name"]
    return wide.loc[order.index].set_axis(order, axis=0)


def layer_sparsity(layers: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Draw a heat map of layers by strategies, with the numbers in it."""
    data = layer_sparsity_data(layers, results)
    shown = data.iloc[np.unique(np.linspace(0, len(data) - 1, min(len(data), _SHOWN_RUNS)).astype(int))]
    figure = style.new_figure(1.3 + 0.21 * max(len(shown), 7))
    axes = figure.subplots()
    image = axes.imshow(shown, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(shown.to_numpy()) if shown.shape[1] <= 14 else ():
        if not np.isnan(value):
            axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=6, color="wk"[int(value > 55)])
    axes.set_yticks(range(len(shown)), shown.index, fontsize=7)
    axes.set_xticks(range(shown.shape[1]), shown.columns, rotation=90, fontsize=7 if shown.shape[1] < 30 else 5)
    axes.set_xlabel("layer, from input to output")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="weights gone (%)", shrink=0.9)
    left_out = f" {len(shown)} of {len(data)} strategies, evenly by sparsity." if len(shown) < len(data) else ""
    seeds = results["seed"].nunique()
    style.note(figure, f"{f'Mean over {seeds} seeds' if seeds > 1 else 'One seed'}, after the last round.{left_out}")
    return figure


def confusion_difference_data(confusion: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Subtract the confusion matrix of fp32 from that of the int8 network that differs from it most.

    Args:
        confusion: rows of confusion.csv of one data set and network.

    Returns:
        The precision, and counts [true class, predicted class] summed over the seeds that both have.

    Raises:
        Missing: fp32 or all int8 forms have not been evaluated.
    """
    base = confusion[confusion["precision"] == "fp32"]
    differences = {}
    for precision in PRECISIONS[1:]:
        other = confusion[confusion["precision"] == precision]
        seeds = set(base["seed"]) & set(other["seed"])
        if seeds:
            classes = sorted(set(base["true"]) | set(base["predicted"]) | set(other["predicted"]))
            matrices = [_matrix(table[table["seed"].isin(seeds)], classes) for table in (base, other)]
            differences[precision] = matrices[1] - matrices[0]
    if not differences:
        raise Missing("The confusion matrices of fp32 and of an int8 form are needed; not both were evaluated.")
    most = max(differences, key=lambda precision: differences[precision].abs().to_numpy().sum())
    labels = dict(zip(confusion["true"], confusion["true_class"], strict=True))
    labels |= dict(zip(confusion["predicted"], confusion["predicted_class"], strict=True))
    return most, differences[most].rename(index=labels, columns=labels)


def _matrix(confusion: pd.DataFrame, classes: list[int]) -> pd.DataFrame:
    wide = confusion.pivot_table(index="true", columns="predicted", values="count", aggfunc="sum", fill_value=0)
    return wide.reindex(index=classes, columns=classes, fill_value=0)


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


def training_curves_data(history: pd.DataFrame) -> pd.DataFrame:
    """Average validation accuracy and training loss over seeds, for the dense and every pruned training.

    Args:
        history: rows of history.csv of one data set and network; a training may still be running.

    Returns:
        run, precision, epoch, accuracy (%), accuracy_std, loss, n.

    Raises:
        Missing: no epoch is complete.
    """
    if history.empty:
        raise Missing("No training has finished an epoch yet.")
    grouped = history.groupby(["run", "precision", "epoch"], sort=False)
    data = grouped["validation_accuracy"].agg(["mean", "std", "count"]) * [100, 100, 1]
    data = data.set_axis(["accuracy", "accuracy_std", "n"], axis=1).assign(loss=grouped["train_loss"].mean())
    return data.astype({"n": int}).reset_index()


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
