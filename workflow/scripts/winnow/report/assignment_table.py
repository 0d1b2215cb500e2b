"""Which layer multiplies with which circuit, where that was left to Winnow."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from winnow.results.numbers import percent
from winnow.results.report_table import ReportTable

_NETWORK = ("dataset", "model", "recipe", "seed")


def assignment_table(layers: pd.DataFrame) -> ReportTable:
    """Lay out the circuit of each layer of the dense networks, in their order.

    Args:
        layers: what `collect_assignments` returns.
    """
    shown = [
        {key: str(row[key]) for key in (*_NETWORK, "layer", "multiplier")}
        | {
            "its power (%)": f"{100 * row['layer_power']:.1f}",
            "MACs (%)": f"{100 * row['macs']:.1f}",
            "noise (%)": f"{100 * row['noise']:.3g}",
            "error": f"{row['mean_error']:.3g}",
            "error (%)": f"{100 * row['relative_error']:.3g}",
            "worst": f"{int(row['worst_error'])}",
            "bias": f"{row['bias']:.3g}",
        }
        for row in layers.to_dict("records")
    ]
    return ReportTable(
        title="The cheapest multiplier of each layer within the limit",
        data=layers,
        shown=pd.DataFrame(shown),
        groups=_NETWORK,
        labels=("layer",),
        notes=list(_notes(layers)),
        nothing="No recipe leaves the multiplier of each layer to Winnow; multiplier: auto does.",
    )


def _notes(layers: pd.DataFrame) -> Iterator[str]:
    if layers.empty:
        return
    first = layers.iloc[0]
    yield (
        "Power is that of the circuit, relative to the exact 8 x 8 multiplier; noise what the circuit in this layer "
        "alone, its mean error taken out if the recipe does, does to the logits of "
        f"{int(first['probed'])} validation images: mean squared difference as a share of their variance. "
        "Error, worst and bias are the mean absolute, the largest and the mean difference of its products from the "
        "exact ones, over the operands that the layer multiplies on calibration images; error in percent is the mean "
        "share of the product."
    )
    for _, row in layers.drop_duplicates(list(_NETWORK)).iterrows():
        points = 100 * row["limit"]
        yield (
            f"{row['dataset']}/{row['model']}/seed{row['seed']}, {row['recipe']}: {percent(row['power'])} of the power "
            f"of the multiplications, each layer weighted by its MACs ({row['source']}); validation accuracy as "
            f"calibrated {percent(row['top1'])}, int8 {percent(row['exact_top1'])}, float "
            f"{percent(row['float_top1'])}, {points:g} {'point' if points == 1 else 'points'} allowed; "
            f"{int(row['tried'])} assignments tried. Accumulators and memory are not counted."
        )
