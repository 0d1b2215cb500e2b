"""Broken arrays: two's complement multipliers that leave out partial products (Mahdiani et al. 2010).

    M(a, w) = sum over i >= h, j >= r, i + j >= v of s_i s_j a_i w_j 2^(i + j)        with bits a_i, w_j and s_7 = -1

Bits of `a` from v - r on meet all bits of `w` that are left; each lower one meets fewer, and is a term of its own.
"""

from __future__ import annotations

import numpy as np

from winnow.approximate.circuit import OPERANDS, Circuit, of_terms
from winnow.study.multipliers import Multiplier


def circuit(multiplier: Multiplier) -> Circuit:
    """Return the products of `bam-h-r-v`."""
    h, r, v = multiplier.parameters
    whole = max(h, v - r)  # from this bit of `a` on, no column is cut away
    parts = [(whole, 8, r)] + [(i, i + 1, max(r, v - i)) for i in range(h, min(whole, 8))]
    kept = [(low, high, start) for low, high, start in parts if low < 8 and start < 8]
    return of_terms([_bits(low, high) for low, high, _ in kept], [_bits(start, 8) for _, _, start in kept])


def _bits(low: int, high: int) -> np.ndarray:
    """Return all operands reduced to their bits low..high-1: int64 [256]."""
    mask = sum(1 << bit for bit in range(low, high))
    kept = OPERANDS & 255 & mask
    return kept - 2 * (kept & 128)  # bit 7 counts -128
