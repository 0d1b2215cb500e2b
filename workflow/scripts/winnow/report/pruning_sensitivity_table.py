"""Which layers pruning hurts, and how much of each a strategy took."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from winnow.results.report_table import ReportTable

_NETWORK = ["dataset", "model", "strategy"]
_SHARES = (25, 50, 75, 90)  # percent


def pruning_sensitivity_table(curves: pd.DataFrame) -> ReportTable:
    """Lay out what each layer bears before retraining, those that bear least first, means over seeds.

    Args:
        curves: what `collect_curves` returns.

    Returns:
        Data as it is given. Shown is a row for each layer or group of channels.
    """
    return ReportTable(
        title="Layers that pruning hurts",
        data=curves,
        shown=pd.DataFrame(list(_rows(curves))),
        groups=tuple(_NETWORK),
        labels=("layer",),
        notes=list(_notes(curves)),
        nothing="No network was pruned layer by layer; pruning.scope: sensitivity asks for it.",
    )


def _rows(curves: pd.DataFrame) -> Iterator[dict[str, str]]:
    means = curves.groupby([*_NETWORK, "position", "layer", "removed"]).mean(numeric_only=True)
    for _, strategy in means.reset_index().groupby(_NETWORK, sort=False):
        layers = [layer.sort_values("removed") for _, layer in strategy.groupby("position")]
        for layer in sorted(layers, key=lambda layer: -_between(layer, "loss", 0.5)):
            first = layer.iloc[0]
            row = {key: str(first[key]) for key in (*_NETWORK, "layer")}
            row["units"] = f"{first['units']:.0f}"
            for share in _SHARES:
                change = 100 * (_between(layer, "top1", share / 100) - first["top1"])
                row[f"without {share} % (points)"] = "" if np.isnan(change) else f"{change:+.1f}"
            yield row | {"taken (%)": f"{100 * first['taken']:.1f}"}


def _between(layer: pd.DataFrame, column: str, share: float) -> float:
    """Return a value at a share between trials; none where no trial took as much."""
    return float(np.interp(share, layer["removed"], layer[column], right=np.nan))


def _notes(curves: pd.DataFrame) -> Iterator[str]:
    if len(curves):
        yield (
            "Units are weights or output channels. Change of accuracy on at most 1,000 validation images when a layer, "
            "or all layers that lose the same channels, loses this share of its own and all others keep theirs, before "
            "anything is trained again; between two trials on a straight line. Taken is what the strategy removed "
            "there in its first round."
        )
