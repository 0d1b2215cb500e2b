"""Which layers quantization hurts, and what sparing each of them gains and costs."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from winnow.results.report_table import ReportTable
from winnow.study.vocabulary import RUNTIMES

_NETWORK = ["dataset", "model", "recipe"]


def sensitivity_table(layers: pd.DataFrame) -> ReportTable:
    """Lay out the layers of the dense networks, those that hurt most first, means over seeds.

    Args:
        layers: what `collect_sensitivity` returns.

    Returns:
        Data as it is given. Shown is a row for each layer: what is lost with it alone on integers, what is gained with
        it alone in float, and its share of the network.
    """
    return ReportTable(
        title="Layers that quantization hurts",
        data=layers,
        shown=pd.DataFrame(list(_rows(layers))),
        groups=("dataset", "model", "recipe"),
        labels=("layer",),
        notes=list(_notes(layers)),
        nothing="No network has been looked at layer by layer; quantization.sensitivity asks for it.",
    )


def _rows(layers: pd.DataFrame) -> Iterator[dict[str, str]]:
    means = layers.groupby([*_NETWORK, "layer"], sort=False).mean(numeric_only=True).reset_index()
    for _, own in means.groupby(_NETWORK, sort=False):
        for row in own.sort_values("harm", ascending=False, kind="stable").to_dict("records"):
            yield {key: str(row[key]) for key in (*_NETWORK, "layer")} | {
                "harm (nats)": f"{row['harm']:.4f}",
                "alone on integers (points)": f"{100 * (row['alone_top1'] - row['float_top1']):+.2f}",
                "SQNR (dB)": "" if pd.isna(row["alone_sqnr_db"]) else f"{row['alone_sqnr_db']:.1f}",
                "alone in float (points)": f"{100 * (row['spared_top1'] - row['quantized_top1']):+.2f}",
                "MACs (%)": f"{100 * row['macs']:.1f}",
                "weights (%)": f"{100 * row['weights']:.1f}",
                "time (%)": _number(100 * row["integer_ms"] / row["integer_total_ms"], ".1f"),
                "sparing costs (ms)": _number(row["float_ms"] - row["integer_ms"], "+.3f"),
            }


def _number(value: float, how: str) -> str:
    return "" if pd.isna(value) else format(value, how)


def _notes(layers: pd.DataFrame) -> Iterator[str]:
    if layers.empty:
        return
    yield (
        "Harm: what the layer on integers adds to the loss, the mean of what it adds to a network in float and of what "
        "sparing it takes from a quantized one. Changes of accuracy are those of a network in float with this layer on "
        "integers, and of a quantized one with this layer in float; SQNR is that of the logits of the former."
    )
    yield from _timed(
        layers[layers["float_ms"].notna()],
        "Time: of a batch on integers, what the layer takes, with the operators that only follow it. Sparing costs "
        "what it takes longer in float; that values are turned from integers to float and back is not in it",
    )
    seeds, samples = layers["seed"].nunique(), int(layers["samples"].min())
    yield f"On {samples} validation images; {'one seed' if seeds == 1 else f'means over {seeds} seeds'}."


def _timed(rows: pd.DataFrame, text: str) -> Iterator[str]:
    """Yield a note on milliseconds, with where they were measured, if they were."""
    for row in rows[["runtime", "batch_size", "threads"]].drop_duplicates().to_dict("records"):
        threads = "one thread" if row["threads"] == 1 else f"{row['threads']:g} threads"
        yield (
            f"{text}. By the profile of {RUNTIMES[row['runtime']].label}, batch {row['batch_size']:g}, {threads}; "
            "profiling takes time itself."
        )


def mixed_table(tried: pd.DataFrame) -> ReportTable:
    """Lay out how many layers in float were tried, and what came of it.

    Args:
        tried: what `collect_mixed` returns.
    """
    rows = [
        {
            **{key: str(row[key]) for key in (*_NETWORK, "seed")},
            "layers in float": f"{row['in_float']}{' (chosen)' if row['chosen'] else ''}",
            "validation accuracy (%)": f"{100 * row['top1']:.2f}",
            "loss (points)": f"{100 * (row['float_top1'] - row['top1']):.2f}",
            "allowed (points)": f"{100 * row['limit']:g}",
            "estimated time (ms)": _number(row["estimated_ms"], ".3f"),
        }
        for row in tried.to_dict("records")
    ]
    chosen = tried[tried["chosen"].astype(bool)] if len(tried) else tried
    return ReportTable(
        title="As few layers in float as the limit allows",
        data=tried,
        shown=pd.DataFrame(rows),
        groups=("dataset", "model", "recipe", "seed"),
        labels=("layers in float",),
        notes=[
            *(
                f"{row['dataset']}/{row['model']}/seed{row['seed']}, {row['recipe']}: in float stay "
                f"{row['spared'] or 'none'}."
                for row in chosen.to_dict("records")
            ),
            *_timed(
                tried[tried["estimated_ms"].notna()],
                "Estimated time: each layer takes what it takes in a network that is all in float, or all on integers",
            ),
        ],
        nothing="No recipe leaves the number of layers in float to Winnow; keep_float: auto does.",
    )
