"""Noise and sparsity by layer."""

from __future__ import annotations

import pandas as pd

from winnow.results.names import short_names
from winnow.results.not_measured import Missing
from winnow.study.vocabulary import DENSE, FP32


def layer_sqnr_data(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the signal-to-quantization-noise ratio of each layer of the dense network, one row for each seed.

    Args:
        layers: rows of layers.csv of one data set and network.

    Returns:
        recipe, precision, position, layer, seed, value (dB).

    Raises:
        Missing: the dense network was not quantized.
    """
    part = layers[(layers["run"] == DENSE) & (layers["metric"] == "sqnr_db")].dropna(subset=["value"])
    if part.empty:
        raise Missing("No quantized form of the dense network was evaluated; quantization.methods names them.")
    return part[["recipe", "precision", "position", "layer", "seed", "value"]].reset_index(drop=True)


def layer_sparsity_data(layers: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Average the sparsity of each layer over seeds, for strategies after their last round.

    Returns:
        One row for each strategy, sorted by sparsity, one column for each layer, in %; the index holds short names.

    Raises:
        Missing: nothing was pruned, or not yet.
    """
    last = results[(results["round"] == results["rounds"]) & (results["precision"] == FP32)]
    part = layers[(layers["metric"] == "sparsity") & layers["run"].isin(last["run"])]
    if part.empty:
        raise Missing("No pruned network has been evaluated after its last round.")
    wide = 100 * part.pivot_table(index="run", columns=["position", "layer"], values="value", aggfunc="mean")
    wide.columns = wide.columns.get_level_values("layer").to_list()
    first = last.drop_duplicates("run").set_index("run", drop=False)
    names = short_names(first).str.removesuffix(f", {FP32}")
    order = first[["achieved_sparsity"]].assign(name=names).sort_values(["achieved_sparsity", "name"])["name"]
    return wide.loc[order.index].set_axis(order, axis=0)
