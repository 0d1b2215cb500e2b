"""What approximate multipliers cost in accuracy, held against exact ones of fewer bits, in sentences."""

from __future__ import annotations

import pandas as pd

from winnow.results.numbers import counted, listed, percent
from winnow.study.multipliers import EXACT

_NAMED = 3  # recipes that a sentence names


def multiplier_words(means: pd.DataFrame) -> list[str]:
    """Say whether approximate multipliers are worth it beside exact ones of fewer bits: none or one paragraph.

    Args:
        means: rows of `combinations`, of one data set, network and run.
    """
    if "multiplier" not in means or "multiplier_power" not in means:
        return []
    known = means.dropna(subset=["multiplier", "multiplier_power", "top1"])
    circuits, exact = known[known["multiplier"] != EXACT], known[known["multiplier"] == EXACT]
    if circuits.empty:
        return []
    best = circuits.sort_values(["top1", "multiplier_power"], ascending=[False, True]).iloc[0]
    text = (
        f"**Approximate multipliers**: the most accurate circuit, `{best['recipe']}`, has {percent(best['top1'])} at "
        f"{100 * best['multiplier_power']:.0f} % of the power of the multiplications."
    )
    fewer = exact[exact["multiplier_power"] < 1]
    if fewer.empty:
        return [
            f"{text} Whether exact multipliers of fewer bits do as well, recipes with `weight_bits` and "
            "`activation_bits` would tell."
        ]
    beaten = {row["recipe"]: better for _, row in circuits.iterrows() if (better := _better(row, fewer))}
    if not beaten:
        return [f"{text} No exact multiplier of fewer bits is as accurate for as little power."]
    named = [f"`{name}` by `{better}`" for name, better in beaten.items()][:_NAMED]
    others = " and others" if len(beaten) > _NAMED else ""
    return [
        f"{text} Of {counted(len(circuits), 'circuit')}, {len(beaten)} {'is' if len(beaten) == 1 else 'are'} no "
        f"better than exact multipliers of fewer bits, which are as accurate for no more power: "
        f"{listed(named)}{others}."
    ]


def _better(circuit: pd.Series, fewer: pd.DataFrame) -> str | None:
    """Return the most accurate exact recipe of fewer bits that needs no more power and is no less accurate."""
    within = fewer["multiplier_power"] <= circuit["multiplier_power"]
    found = fewer[within & (fewer["top1"] >= circuit["top1"])].sort_values("top1", ascending=False)
    return None if found.empty else str(found.iloc[0]["recipe"])
