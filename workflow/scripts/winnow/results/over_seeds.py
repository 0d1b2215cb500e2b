"""The networks of a study without their seeds: mean, spread and n of every metric."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from winnow.study.recipe_axes import RECIPE_AXES
from winnow.study.vocabulary import AXES

NETWORK = ["dataset", "model"]
COMBINATION = [*NETWORK, "run", "recipe", "precision"]
_KEPT = ["strategy", *AXES, "round", "sparsity_unit", *RECIPE_AXES]


def networks_of(results: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield (dataset, model) of every network, in order."""
    yield from results[NETWORK].drop_duplicates().sort_values(NETWORK).itertuples(index=False, name=None)


def combinations(results: pd.DataFrame) -> pd.DataFrame:
    """Average over seeds: one row for each data set, network, run and recipe.

    Returns:
        The keys, how it was pruned and quantized, `n` (networks), and for each numeric metric its mean under its own
        name, its sample standard deviation under `<name>_std` (missing for one seed), and under `<name>_n` in how many
        networks it was measured.
    """
    if results.empty:
        return results.assign(n=0)
    numbers = [
        name
        for name in results
        if name not in (*COMBINATION, *_KEPT, "seed")
        and pd.api.types.is_numeric_dtype(results[name])
        and not pd.api.types.is_bool_dtype(results[name])
    ]
    grouped = results.groupby(COMBINATION, sort=False)
    kept = grouped[[name for name in _KEPT if name in results]].first()
    spread = grouped[numbers].std(ddof=1).add_suffix("_std")
    counts = grouped[numbers].count().add_suffix("_n")
    table = pd.concat([kept, grouped.size().rename("n"), grouped[numbers].mean(), spread, counts], axis=1)
    return table.copy().reset_index()  # copied: wide and in pieces, which pandas warns of
