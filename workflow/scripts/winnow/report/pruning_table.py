"""The study's pruning table: what each strategy costs in accuracy and what it really buys, over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from winnow.results.columns import METRICS
from winnow.results.names import strategy_names
from winnow.results.numbers import plain
from winnow.results.over_seeds import NETWORK, combinations
from winnow.results.recipe_words import FEWER_BITS, fewer_bits
from winnow.results.report_table import ReportTable
from winnow.results.timed import Timed, largest_batches, timed_configurations
from winnow.results.timed_columns import TIMED
from winnow.study.vocabulary import AXES, DENSE, NARROW, PRECISIONS, RUNTIMES, STRUCTURES

_GROUP = [*NETWORK, "precision", "recipe"]
_STRATEGY = [*_GROUP, "run", "strategy", *AXES, "round"]
_FIXED = [
    METRICS[name]
    for name in (
        *("achieved_sparsity", "weight_sparsity", "top1", "top1_change", "size_mb", "gzip_mb", "sparse_mb"),
        *("nonzero_macs", "theoretical_speedup", "training_seconds"),
    )
]
_HIDDEN = {"size_mb", "gzip_mb", "nonzero_macs"}  # from people: they are in the CSV
_SPARSE, _FASTER = 0.5, 1.1  # from this sparsity on a speedup below this is worth a remark


def pruning_table(results: pd.DataFrame) -> ReportTable:
    """Lay out the pruned networks of a study beside the dense ones: mean, standard deviation and n over the seeds.

    Args:
        results: the table of `study.collect`.

    Returns:
        Data in long form, one row for each strategy, round, recipe and metric: dataset, model, precision, recipe, run,
        the axes, round, metric, label, mean, std (sample; missing for one seed), n. A network that was never pruned in
        this study is left out; without any the table is empty. Shown is a row for each strategy after its last round.
    """
    table = _long(results)
    last = table[(table["run"] == DENSE) | (table["round"] == table["rounds"])]
    return ReportTable(
        title="Pruning",
        data=table.drop(columns="text"),
        shown=_wide(last),
        groups=("dataset", "model"),
        labels=("recipe", "strategy"),
        notes=[*_notes(last), *([FEWER_BITS] if fewer_bits(results) else [])] if len(last) else [],
        nothing="No pruned network has been evaluated yet.",
    )


def _long(results: pd.DataFrame) -> pd.DataFrame:
    """Return the data of the table, and the text of each value."""
    columns = [*_STRATEGY, "metric", "label", "mean", "std", "n", "text"]
    pruned = results[results["run"] != DENSE]
    if pruned.empty:
        return pd.DataFrame(columns=columns)
    metrics = [*_FIXED, *(timed.metric("speedup") for timed in timed_configurations(results, "speedup"))]
    rows = []
    for _, row in combinations(results.merge(pruned[NETWORK].drop_duplicates(), on=NETWORK)).iterrows():
        keys = [row[name] for name in _STRATEGY]
        for metric in metrics:
            mean, std, n = (row[f"{metric.name}{suffix}"] for suffix in ("", "_std", "_n"))
            if n:
                values = (metric.factor * mean, metric.factor * std, n, metric.text(mean, std))
                rows.append((*keys, metric.name, metric.heading(short=metric in _FIXED), *values))
    table = pd.DataFrame(rows, columns=columns)
    table["pruned"] = table["run"] != DENSE
    table["precision"] = pd.Categorical(table["precision"], list(PRECISIONS))
    order = [*_GROUP, "pruned", *(axis for axis in AXES if axis != "ratio"), "ratio", "round"]
    return table.sort_values(order, kind="stable", ignore_index=True).drop(columns="pruned")


def _wide(last: pd.DataFrame) -> pd.DataFrame:
    """Return a row of text for each strategy."""
    names: pd.Series | list[str] = strategy_names(last.assign(requested_sparsity=last["ratio"])) if len(last) else []
    last = last.assign(strategy_name=names)
    headings = _headings(last)
    lines = []
    for _, group in last.groupby(_STRATEGY, dropna=False, sort=False, observed=True):
        first = group.iloc[0]
        texts = dict(zip(group["metric"], group["text"], strict=True))
        line = {key: str(first[key]) for key in (*NETWORK, "recipe")} | {"strategy": first["strategy_name"]}
        lines.append(line | {heading: texts.get(metric, "") for metric, heading in headings.items()})
    return pd.DataFrame(lines)


def _headings(table: pd.DataFrame) -> Mapping[str, str]:
    """Return the metrics that fit on a page, with their columns: of the speedups those at the largest batch."""
    measured = set(table["metric"])
    found = {metric.name: metric.heading(short=True) for metric in _FIXED if metric.name in measured - _HIDDEN}
    if not table["structure"].isin(NARROW).any():
        found.pop("weight_sparsity", None)  # the same as the sparsity
    timed = _timed(table)
    for configuration in timed:
        alike = len({(other.batch_size, other.threads) for other in timed}) == 1
        what = RUNTIMES[configuration.runtime].label if alike else str(configuration)
        found[configuration.column("speedup")] = f"{TIMED['speedup'].short}, {what}"
    return found


def _timed(table: pd.DataFrame) -> Sequence[Timed]:
    """Return the largest batch of each runtime."""
    return largest_batches(timed_configurations(table["metric"].unique(), "speedup"))


def _notes(last: pd.DataFrame) -> Iterator[str]:
    yield _seeds(last)
    if len({(timed.batch_size, timed.threads) for timed in _timed(last)}) == 1:
        yield f"Measured speedups: {_timed(last)[0].setting}."
    if last["structure"].isin(NARROW).any():
        yield "Sparsity is that of what was pruned; weights removed are those of the whole network."
    fixed = [axis for axis in AXES if axis != "ratio" and last[axis].dropna().nunique() == 1]
    if fixed:
        yield f"All strategies: {', '.join(f'{axis} {plain(last[axis].dropna().iloc[0])}' for axis in fixed)}."
    yield from _remarks(last)


def _seeds(table: pd.DataFrame) -> str:
    least, most = table["n"].min(), table["n"].max()
    if most == 1:
        return "One seed. Speedups are against the dense network by the same recipe."
    seeds = f"{most}" if least == most else f"{least} to {most}"
    return (
        f"Mean ± standard deviation over {seeds} seeds. Speedups are against the dense network of the same seed "
        "by the same recipe."
    )


def _remarks(table: pd.DataFrame) -> Iterator[str]:
    """Say for every structure whether latency fell with sparsity, in plain words."""
    wide = table[table["run"] != DENSE].pivot(index=[*_GROUP, "run", "structure"], columns="metric", values="mean")
    measured = [timed.column("speedup") for timed in timed_configurations(wide, "speedup")]
    if not measured or wide.empty:
        return
    high = wide[wide["achieved_sparsity"] >= 100 * _SPARSE]
    for structure, group in high.groupby("structure"):
        best = group[measured].max(axis=1)
        slow, count = group[best < _FASTER], len(group)
        if len(slow):
            worst = slow.iloc[slow["achieved_sparsity"].argmax()]
            reason = (
                "zeros in a dense tensor are multiplied like any other number; only removed channels make these "
                "runtimes faster"
                if not STRUCTURES[str(structure)].narrow
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
