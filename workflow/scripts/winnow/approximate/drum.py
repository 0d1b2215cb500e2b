"""DRUM: each magnitude is cut to its k leading bits, the last of which is set (Hashemi et al., ICCAD 2015).

The set bit stands for the mean of what was cut off, so that errors of many products cancel.
"""

from __future__ import annotations

import numpy as np

from winnow.approximate.circuit import Circuit, leading_power, magnitudes, of_terms
from winnow.study.multipliers import Multiplier


def circuit(multiplier: Multiplier) -> Circuit:
    """Return the products of `drum-k`."""
    (k,) = multiplier.parameters
    sign, magnitude = magnitudes()
    last = np.maximum(leading_power(magnitude) >> (k - 1), 1)  # weight of the last bit that is kept
    cut = sign * np.where(last > 1, (magnitude // last | 1) * last, magnitude)
    return of_terms([cut], [cut])
