"""Answers by class: where an int8 network differs from fp32."""

from __future__ import annotations

import pandas as pd

from winnow.results.not_measured import Missing
from winnow.results.recipes import recipes_of
from winnow.study.vocabulary import FP32


def confusion_difference_data(confusion: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Subtract the confusion matrix of fp32 from that of the int8 network that differs from it most.

    Args:
        confusion: rows of confusion.csv of one data set and network.

    Returns:
        The recipe, and counts [true class, predicted class] summed over the seeds that both have.

    Raises:
        Missing: fp32 or all int8 forms have not been evaluated.
    """
    base = confusion[confusion["precision"] == FP32]
    differences = {}
    for recipe, precision in recipes_of(confusion).items():
        if not precision.method:
            continue
        other = confusion[confusion["recipe"] == recipe]
        seeds = set(base["seed"]) & set(other["seed"])
        if seeds:
            classes = sorted(set(base["true"]) | set(base["predicted"]) | set(other["predicted"]))
            matrices = [_matrix(table[table["seed"].isin(seeds)], classes) for table in (base, other)]
            differences[recipe] = matrices[1] - matrices[0]
    if not differences:
        raise Missing("The confusion matrices of fp32 and of an int8 form are needed; not both were evaluated.")
    most = max(differences, key=lambda recipe: differences[recipe].abs().to_numpy().sum())
    labels = dict(zip(confusion["true"], confusion["true_class"], strict=True))
    labels |= dict(zip(confusion["predicted"], confusion["predicted_class"], strict=True))
    return most, differences[most].rename(index=labels, columns=labels)


def _matrix(confusion: pd.DataFrame, classes: list[int]) -> pd.DataFrame:
    wide = confusion.pivot_table(index="true", columns="predicted", values="count", aggfunc="sum", fill_value=0)
    return wide.reindex(index=classes, columns=classes, fill_value=0)
