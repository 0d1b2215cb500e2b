"""The study's pruning table: what each strategy costs in accuracy and what it really buys, over the seeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from winnow.files import replacing, write_text
from winnow.results.numbers import plain, spread
from winnow.results.timed import largest_batches, timed_configurations
from winnow.study.vocabulary import AXES, DENSE

_NETWORK = ["dataset", "model", "precision"]
_STRATEGY = [*_NETWORK, "run", "strategy", *AXES, "round"]
_PRECISIONS = ["fp32", "dynamic", "ptq", "qat"]
_FIXED = [  # column, label, factor, decimals
    ("achieved_sparsity", "sparsity (%)", 100, 1),
    ("weight_sparsity", "weights gone, whole network (%)", 100, 1),
    ("top1", "top-1 (%)", 100, 2),
    ("top1_change", "change of top-1 (points)", 100, 2),
    ("size_mb", "size (MB)", 1, 3),
    ("gzip_mb", "gzip (MB)", 1, 3),
    ("sparse_mb", "sparse encoding (MB)", 1, 3),
    ("nonzero_macs", "non-zero MACs (M)", 1e-6, 2),
    ("theoretical_speedup", "theoretical speedup", 1, 2),
    ("training_seconds", "training (s)", 1, 0),
]
_SPARSE, _FASTER = 0.5, 1.1  # from this sparsity on a speedup below this is worth a remark


def pruning_table(results: pd.DataFrame) -> pd.DataFrame:
    """Lay out the pruned networks of a study beside the dense ones: mean, standard deviation and n over the seeds.

    Args:
        results: the table of `study.collect`.

    Returns:
        Long form, one row for each strategy, round, precision and metric: dataset, model, precision, run, the
        axes, round, metric, label, mean, std (sample; missing for one seed), n, decimals. A network that was never
        pruned in this study is left out; without any the table is empty.
    """
    columns = [*_STRATEGY, "metric", "label", "mean", "std", "n", "decimals"]
    pruned = results[results["run"] != DENSE]
    if pruned.empty:
        return pd.DataFrame(columns=columns)
    own = ["dataset", "model"]
    results = results.merge(pruned[own].drop_duplicates(), on=own)
    results = _with_change(results)
    rows = []
    for keys, group in results.groupby(_STRATEGY, dropna=False, sort=False):
        for column, label, factor, decimals in _metrics(results):
            values = group[column].dropna() * factor
            if len(values):
                rows.append((*keys, column, label, values.mean(), values.std(ddof=1), len(values), decimals))
    table = pd.DataFrame(rows, columns=columns)
    table["dense"] = table["run"] != DENSE
    table["precision"] = pd.Categorical(table["precision"], _PRECISIONS)
    order = ["dataset", "model", "precision", "dense", *(axis for axis in AXES if axis != "ratio"), "ratio", "round"]
    return table.sort_values(order, kind="stable", ignore_index=True).drop(columns="dense")


def _with_change(results: pd.DataFrame) -> pd.DataFrame:
    """Add the difference in accuracy from the dense network of the same data set, network, seed and precision."""
    own = [*_NETWORK, "seed"]
    dense = results[results["run"] == DENSE][[*own, "top1"]].rename(columns={"top1": "dense_top1"})
    results = results.merge(dense, on=own, how="left", validate="many_to_one")
    return results.assign(top1_change=(results["top1"] - results["dense_top1"]).where(results["run"] != DENSE))


def _metrics(results: pd.DataFrame) -> Iterator[tuple[str, str, float, int]]:
    yield from _FIXED
    for timed in timed_configurations(results, "speedup"):
        yield timed.column("speedup"), f"measured speedup, {timed}", 1, 2


def as_markdown(table: pd.DataFrame) -> str:
    """Return the table as Markdown, and what must be said about it."""
    if table.empty:
        return "No pruned network has been evaluated yet.\n"
    frame, remarks = shown(table)
    return frame.to_markdown(index=False, disable_numparse=True) + "\n\n" + remarks + "\n"


def shown(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the table as it is shown to people, a row of text for each strategy after its last round, and remarks."""
    last = table[(table["run"] == DENSE) | (table["round"] == table["rounds"])]
    varying = [axis for axis in AXES if axis == "ratio" or last[axis].dropna().nunique() > 1]
    fixed = [axis for axis in AXES if axis not in varying]
    lines = []
    part = last[last["metric"].isin(_shown(last))]
    fixed_order = [label for _, label, *_ in _FIXED if label in set(part["label"])]
    metrics = list(dict.fromkeys([*fixed_order, *part["label"]]))
    for _, group in part.groupby(_STRATEGY, dropna=False, sort=False, observed=True):
        first = group.iloc[0]
        line = {key: first[key] for key in _NETWORK}
        line |= {
            axis: DENSE if axis == varying[0] and first["run"] == DENSE else plain(first[axis]) for axis in varying
        }
        line |= dict.fromkeys(metrics, "")
        line |= {row["label"]: spread(row["mean"], row["std"], row["decimals"]) for _, row in group.iterrows()}
        lines.append(line)
    wide = pd.DataFrame(lines)
    constant = ", ".join(f"{axis} {plain(last[axis].dropna().iloc[0])}" for axis in fixed)
    remarks = [_seeds(last), f"All strategies: {constant}." if constant else "", *_remarks(last)]
    return wide, "\n\n".join(filter(None, remarks))


def _shown(table: pd.DataFrame) -> set[str]:
    """Return the metrics that fit on a page: of the speedups those at the largest batch, one for each runtime."""
    shown = {"achieved_sparsity", "top1", "top1_change", "sparse_mb", "theoretical_speedup", "training_seconds"}
    if "channels" in set(table["structure"]):
        shown.add("weight_sparsity")
    timed = timed_configurations(table["metric"].unique(), "speedup")
    return shown | {configuration.column("speedup") for configuration in largest_batches(timed)}


def _seeds(table: pd.DataFrame) -> str:
    least, most = table["n"].min(), table["n"].max()
    if most == 1:
        return "One seed. Speedups are against the dense network in the same precision."
    seeds = f"{most}" if least == most else f"{least} to {most}"
    return (
        f"Mean ± standard deviation over {seeds} seeds. Speedups are against the dense network of the same seed in "
        "the same precision."
    )


def _remarks(table: pd.DataFrame) -> Iterator[str]:
    """Say for every structure whether latency fell with sparsity, in plain words."""
    wide = table[table["run"] != DENSE].pivot(index=[*_NETWORK, "run", "structure"], columns="metric", values="mean")
    measured = [column for column in wide if column.startswith("speedup_")]
    if not measured or wide.empty:
        return
    high = wide[wide["achieved_sparsity"] >= 100 * _SPARSE]
    for structure, group in high.groupby("structure"):
        best = group[measured].max(axis=1)
        slow, count = group[best < _FASTER], len(group)
        if len(slow):
            worst = slow.loc[slow["achieved_sparsity"].idxmax()]
            reason = (
                "zeros in a dense tensor are multiplied like any other number; only removed channels make these "
                "runtimes faster"
                if structure == "unstructured"
                else "too few multiplications were removed to show, or other work dominates"
            )
            yield (
                f"**Measured latency did not fall** for {len(slow)} of {count} {structure} networks of at least "
                f"{100 * _SPARSE:.0f} % sparsity (less than {_FASTER:g}x in every runtime): at "
                f"{worst['achieved_sparsity']:.1f} % sparsity the theoretical speedup is "
                f"{worst['theoretical_speedup']:.2f}, the best measured one {worst[measured].max():.2f}; {reason}."
            )
        if len(slow) < count:
            fast = group[best >= _FASTER]
            yield (
                f"Measured latency fell for {len(fast)} of {count} {structure} networks of at least "
                f"{100 * _SPARSE:.0f} % sparsity, by up to {fast[measured].max().max():.2f}x."
            )


def write_table(table: pd.DataFrame, csv: str | Path, markdown: str | Path) -> None:
    with replacing(csv) as temporary:
        table.drop(columns="decimals").to_csv(temporary, index=False, float_format="%.8g")
    write_text(markdown, as_markdown(table))
