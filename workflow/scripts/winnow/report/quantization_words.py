"""What quantization costs and buys, in sentences: against fp32, and against the fastest precision that is free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from winnow.results.numbers import spread, times
from winnow.results.recipes import by_method, recipes_of
from winnow.results.timed import Timed, timed_configurations
from winnow.study.vocabulary import DENSE, FP32, PRECISIONS

_ALIKE = 0.02  # part by which two numbers may differ and be called the same


def quantization_words(dense: pd.DataFrame, timed: Timed) -> Iterator[str]:
    """Set each method against fp32, and those on integers against the fastest that computes the fp32 file.

    Args:
        dense: means over seeds of one network, not pruned.
    """
    rows: Mapping[str, pd.Series] = {row["recipe"]: row for _, row in dense.iterrows() if pd.notna(row["top1"])}
    if (base := rows.get(FP32)) is None:
        return
    parts, best = [], {}
    for method, known in by_method(recipes_of(dense)).items():
        recipes = [recipe for recipe in known if recipe in rows and method != FP32]
        if not recipes:
            continue
        best[method] = max(recipes, key=lambda recipe: rows[recipe]["top1"])
        words = _against(rows[best[method]], base, timed)
        parts.append(
            words if len(recipes) == 1 else f"the most accurate of {len(recipes)} recipes of {method}, {words}"
        )
    start = f"Dense fp32 has {spread(100 * base['top1'], 100 * base.get('top1_std', float('nan')))} % test accuracy"
    if parts:
        yield f"{start}. Against it, without pruning: {'; '.join(parts)} (latency in {timed})."
    else:
        yield f"{start}. It was not quantized."
    yield from _against_free([base, *(rows[recipe] for recipe in best.values())], [timed, *timed_configurations(dense)])


def ratio_words(ratio: float, more: str, less: str) -> str:
    """Say e.g. `(2.1x faster)` of a network beside the dense fp32 one."""
    if abs(ratio - 1) < _ALIKE:
        return f"(as {DENSE} {FP32}, not {more})"
    return f"({times(ratio)} {more})" if ratio > 1 else f"({times(1 / ratio)} {less})"


def _against(row: pd.Series, base: pd.Series, timed: Timed) -> str:
    """Set a network against the dense fp32 one."""
    change = 100 * (row["top1"] - base["top1"])
    told = PRECISIONS[row["precision"]].hint
    size = "the same file" if told else f"{times(base['size_mb'] / row['size_mb'])} smaller"
    words, column = f"`{row['recipe']}` {change:+.2f} points, {size}", timed.column("latency")
    if column in row and pd.notna(row[column]) and pd.notna(base[column]):
        words += f", {ratio_words(base[column] / row[column], 'faster', 'slower').strip('()')}"
    return words


def _against_free(rows: Sequence[pd.Series], configurations: Iterable[Timed]) -> Iterator[str]:
    """Set the networks on integers against the fastest of the others, where some precision but fp32 is free."""
    for timed in configurations:
        latency = timed.metric("latency")
        known = [row for row in rows if pd.notna(row.get(latency.name))]
        free = [row for row in known if not PRECISIONS[row["precision"]].integers]
        if not any(PRECISIONS[row["precision"]].hint for row in free):
            continue
        free.sort(key=lambda row: float(row[latency.name]))
        fastest, *others = [f"`{row['recipe']}` ({latency.exactly(row[latency.name])})" for row in free]
        best = float(free[0][latency.name])
        integer = [
            f"`{row['recipe']}` is {_speed(best / row[latency.name])} ({latency.exactly(row[latency.name])})"
            for row in known
            if PRECISIONS[row["precision"]].integers
        ]
        yield (
            f"**Free, for the file is that of fp32**: {fastest} is fastest"
            f"{', before ' if others else ''}{', '.join(others)} in {timed}. "
            f"Against it {'; '.join(integer) or 'nothing was quantized'}."
        )
        return


def _speed(ratio: float) -> str:
    if abs(ratio - 1) < _ALIKE:
        return "no faster"
    return f"{times(ratio)} faster" if ratio > 1 else f"{times(1 / ratio)} slower"
