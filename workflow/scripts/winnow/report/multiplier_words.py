"""What approximate multipliers cost in accuracy, held against exact ones of fewer bits, in sentences."""

from __future__ import annotations

import pandas as pd

from winnow.analysis.multipliers import better
from winnow.config.recommend import RecommendSettings
from winnow.results.numbers import counted, listed, percent
from winnow.results.simulated import are_simulated
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
    beaten = {row["recipe"]: other for _, row in circuits.iterrows() if (other := better(row, fewer))}
    if not beaten:
        return [f"{text} No exact multiplier of fewer bits is as accurate for as little power."]
    named = [f"`{name}` by `{other}`" for name, other in beaten.items()][:_NAMED]
    others = " and others" if len(beaten) > _NAMED else ""
    dominated = " **Plain low bits dominate.**" if len(beaten) == len(circuits) else ""
    return [
        f"{text}{dominated} Of {counted(len(circuits), 'circuit')}, {len(beaten)} "
        f"{'is' if len(beaten) == 1 else 'are'} no better than exact multipliers of fewer bits, which are as accurate "
        "for no more power: "
        f"{listed(named)}{others}."
    ]


def accelerated_words(row: pd.Series, settings: RecommendSettings) -> str:
    """Say what the multiplications of a network to ship cost, as the end of a sentence; nothing for a processor."""
    if not settings.accelerated:
        return ""
    return (
        f", **{percent(row['multiplier_power'])} of the power** of exact 8 x 8 multipliers at 45 nm, without "
        "accumulators and memory"
    )


def simulation_words(row: pd.Series) -> list[str]:
    """Say what the file of a network, a row of results.csv, says nothing of: none or one sentence."""
    if not are_simulated(row.to_frame().T).any():
        return []
    return [
        f"The file **simulates its multipliers** ({row['multiplier']}) by ordinary operators, exactly: it computes "
        "what an accelerator with such circuits would. Its size, time and energy on a processor say nothing of it."
    ]
