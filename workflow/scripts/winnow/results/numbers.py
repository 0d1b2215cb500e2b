"""Numbers as text."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def plain(value: float | str | None) -> str:
    """Return a value of an axis as text: 1 for 1.0, nothing for missing."""
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def three_digits(value: float) -> float:
    """Round to what figures show; numbers that differ only beyond are taken as equal."""
    return float(f"{value:.3g}")


def percent(share: float) -> str:
    """Return a share between 0 and 1 as a percentage with two decimals."""
    return f"{100 * share:.2f} %"


def spread(mean: float, std: float, decimals: int = 2) -> str:
    """Return mean ± standard deviation; without it where it is missing, nothing where the mean is."""
    return "" if pd.isna(mean) else f"{mean:.{decimals}f}" + ("" if pd.isna(std) else f" ± {std:.{decimals}f}")


def times(value: float) -> str:
    """Return a ratio, e.g. `3.4x`."""
    return f"{value:.3g}x" if value < 100 else f"{value:.0f}x"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """Return e.g. `1 seed`, `3 seeds`."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def listed(items: Iterable[object]) -> str:
    """Return e.g. `a, b and c`."""
    words = list(map(str, items))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"
