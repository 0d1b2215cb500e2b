"""The study's pruning table: what each strategy costs in accuracy and what it really buys, over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from winnow.results.names import strategy_names
from winnow.results.numbers import plain, spread
from winnow.results.report_table import ReportTable
from winnow.results.timed import Timed, largest_batches, timed_configurations
from winnow.study.vocabulary import AXES, DENSE, PRECISIONS, RUNTIMES, STRUCTURES

_NETWORK = ["dataset", "model", "precision"]
_STRATEGY = [*_NETWORK, "run", "strategy", *AXES, "round"]
_FIXED = [  # column, label, factor, decimals
    ("achieved_sparsity", "sparsity (%)", 100, 1),
    ("weight_sparsity", "weights removed (%)", 100, 1),
    ("top1", "top-1 (%)", 100, 2),
    ("top1_change", "change (points)", 100, 2),
    ("size_mb", "size (MB)", 1, 3),
    ("gzip_mb", "gzip (MB)", 1, 3),
    ("sparse_mb", "sparse encoding (MB)", 1, 3),
    ("nonzero_macs", "non-zero MACs (M)", 1e-6, 2),
    ("theoretical_speedup", "theoretical speedup", 1, 2),
    ("training_seconds", "training (s)", 1, 0),
]
_HIDDEN = {"size_mb", "gzip_mb", "nonzero_macs"}  # from people: they are in the CSV
_SPARSE, _FASTER = 0.5, 1.1  # from this sparsity on a speedup below this is worth a remark


def pruning_table(results: pd.DataFrame) -> ReportTable:
    """Lay out the pruned networks of a study beside the dense ones: mean, standard deviation and n over the seeds.

    Args:
        results: the table of `study.collect`.

    Returns:
        Data in long form, one row for each strategy, round, precision and metric: dataset, model, precision, run, the
        axes, round, metric, label, mean, std (sample; missing for one seed), n. A network that was never pruned in this
        study is left out; without any the table is empty. Shown is a row for each strategy after its last round.
    """
    table = _long(results)
    last = table[(table["run"] == DENSE) | (table["round"] == table["rounds"])]
    return ReportTable(
        title="Pruning",
        data=table.drop(columns="decimals"),
        shown=_wide(last),
        groups=("dataset", "model"),
        labels=("precision", "strategy"),
        notes=[*_notes(last)] if len(last) else [],
        nothing="No pruned network has been evaluated yet.",
    )


def _long(results: pd.DataFrame) -> pd.DataFrame:
    """Return the data of the table, and the number of decimals to show of each value."""
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
    table["precision"] = pd.Categorical(table["precision"], list(PRECISIONS))
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


def _wide(last: pd.DataFrame) -> pd.DataFrame:
    """Return a row of text for each strategy."""
    names = strategy_names(last.assign(requested_sparsity=last["ratio"])) if len(last) else []
    last = last.assign(strategy_name=names)
    headings = _headings(last)
    lines = []
    for _, group in last.groupby(_STRATEGY, dropna=False, sort=False, observed=True):
        first = group.iloc[0]
        texts = {row["metric"]: spread(row["mean"], row["std"], row["decimals"]) for _, row in group.iterrows()}
        line = {key: str(first[key]) for key in _NETWORK} | {"strategy": first["strategy_name"]}
        lines.append(line | {heading: texts.get(metric, "") for metric, heading in headings.items()})
    return pd.DataFrame(lines)


def _headings(table: pd.DataFrame) -> Mapping[str, str]:
    """Return the metrics that fit on a page, with their columns: of the speedups those at the largest batch."""
    measured = set(table["metric"])
    found = {metric: label for metric, label, *_ in _FIXED if metric in measured - _HIDDEN}
    if "channels" not in set(table["structure"]):
        found.pop("weight_sparsity", None)  # the same as the sparsity
    timed = _timed(table)
    for configuration in timed:
        alike = len({(other.batch_size, other.threads) for other in timed}) == 1
        what = RUNTIMES[configuration.runtime].label if alike else str(configuration)
        found[configuration.column("speedup")] = f"speedup, {what}"
    return found


def _timed(table: pd.DataFrame) -> Sequence[Timed]:
    """Return the largest batch of each runtime."""
    return largest_batches(timed_configurations(table["metric"].unique(), "speedup"))


def _notes(last: pd.DataFrame) -> Iterator[str]:
    yield _seeds(last)
    if len({(timed.batch_size, timed.threads) for timed in _timed(last)}) == 1:
        yield f"Measured speedups: {_timed(last)[0].setting}."
    if "channels" in set(last["structure"]):
        yield "Sparsity is that of what was pruned; weights removed are those of the whole network."
    fixed = [axis for axis in AXES if axis != "ratio" and last[axis].dropna().nunique() == 1]
    if fixed:
        yield f"All strategies: {', '.join(f'{axis} {plain(last[axis].dropna().iloc[0])}' for axis in fixed)}."
    yield from _remarks(last)


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
                if not STRUCTURES[structure].narrow
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
