"""Training by epoch."""

from __future__ import annotations

import pandas as pd

from winnow.results.not_measured import Missing


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
