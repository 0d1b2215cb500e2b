"""What the multiplications of a network cost: relative power and area at 45 nm, and exact narrow ones as the control.

Only multipliers are counted, not accumulators and not memory. Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from winnow.study.multipliers import Cost, Multiplier, multiplier

BITS = 8
# Cells of the NanGate 45 nm Open Cell Library, um2: AND2_X1 and FA_X1
_AND, _FULL_ADDER = 1.064, 4.256
MODEL = "gate-count model: n x m AND gates and (n - 1) x m full adders, not synthesized"


def exact_cost(activation_bits: int, weight_bits: int) -> Cost:
    """Return what an exact multiplier of fewer bits costs, the honest control of every approximate one.

    A broken array without dropped columns is nothing but that, so where EvoApproxLib has measured one its figures
    hold. For the rest cells are counted, and their area stands for power too. Beside the measured ones the model is
    within 0.08 of their area, and up to 0.08 above their power: short arrays glitch less.

    Args:
        activation_bits, weight_bits: 1 to 8.
    """
    short = BITS - activation_bits, BITS - weight_bits
    for pair in (short, short[::-1]):  # the cost of an array does not depend on which operand is called which
        name = "exact" if pair == (0, 0) else f"bam-{pair[0]}-{pair[1]}-0"
        if (cost := multiplier(name).cost) is not None:
            return cost
    share = modelled_share(activation_bits, weight_bits)
    return Cost(share, share, MODEL)


def modelled_share(activation_bits: int, weight_bits: int) -> float:
    """Return the area of an exact multiplier relative to the 8 x 8 one by the gate-count model (`MODEL`)."""
    return _cells(activation_bits, weight_bits) / _cells(BITS, BITS)


def _cells(n: int, m: int) -> float:
    n, m = sorted((n, m))  # n rows are added, along the longer operand
    return n * m * _AND + (n - 1) * m * _FULL_ADDER


def network_cost(macs: Mapping[str, int], multipliers: Mapping[str, Multiplier]) -> Cost | None:
    """Return the mean cost of a network's multiplications, each layer counting by what it multiplies.

    Args:
        macs: multiply-accumulates of each layer on integers, for one image.
        multipliers: what each of these layers multiplies with.

    Returns:
        None where the cost of one of them is not published, or nothing is multiplied.
    """
    total = sum(macs.values())
    costs = {layer: multipliers[layer].cost for layer in macs}
    known = {layer: cost for layer, cost in costs.items() if cost is not None}
    if not total or len(known) < len(costs):
        return None
    power, area = (
        sum(macs[layer] * getattr(known[layer], kind) for layer in macs) / total for kind in ("power", "area")
    )
    return Cost(power, area, "; ".join(dict.fromkeys(cost.source for cost in known.values())))
