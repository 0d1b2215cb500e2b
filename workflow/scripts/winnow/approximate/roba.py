"""RoBA: with both operands rounded to powers of two, ar and wr, the product is ar w + a wr - ar wr, all of it shifts.

Left out is the product of the remainders, (a - ar) (w - wr). This is the signed form that multiplies magnitudes
(S-RoBA in Zendegani et al., IEEE TVLSI 2017).
"""

from __future__ import annotations

import numpy as np

from winnow.approximate.circuit import OPERANDS, Circuit, leading_power, magnitudes, of_terms
from winnow.study.multipliers import Multiplier


def circuit(_: Multiplier) -> Circuit:
    """Return the products of `roba`."""
    sign, magnitude = magnitudes()
    below = leading_power(magnitude)
    up = 2 * magnitude >= 3 * below  # what lies in the middle is rounded up, but 3 is not
    rounded = sign * np.where(up & (magnitude != 3), 2 * below, below)
    return of_terms([rounded, OPERANDS - rounded], [OPERANDS, rounded])
