"""Training by epoch."""

from __future__ import annotations

import pandas as pd

from winnow.results.not_measured import Missing
from winnow.study.vocabulary import DENSE, FP32


def training_curves_data(history: pd.DataFrame) -> pd.DataFrame:
    """Return the validation accuracy of every training run after each epoch, one row for each seed.

    Args:
        history: rows of history.csv of one data set and network; a training run may not be finished.

    Returns:
        run, recipe, precision, seed, epoch, accuracy (%).

    Raises:
        Missing: no epoch is complete, or none was asked for.
    """
    if history.empty:
        raise Missing("No epoch of training has been finished; networks may be taken as they were imported.")
    data = history[["run", "recipe", "precision", "seed", "epoch"]].assign(
        accuracy=100 * history["validation_accuracy"]
    )
    return data.reset_index(drop=True)


def retraining_data(data: pd.DataFrame) -> pd.DataFrame:
    """Average training runs after a round of pruning, in fp32, over seeds.

    Args:
        data: what `training_curves_data` returns.

    Returns:
        run, round, epoch, accuracy (%); no rows where nothing was retrained.
    """
    part = data[(data["run"] != DENSE) & (data["precision"] == FP32)]
    rounds = part["run"].str.extract(r"/round(\d+)$", expand=False).astype(float)
    return part.assign(round=rounds).groupby(["run", "round", "epoch"], as_index=False)[["accuracy"]].mean()
