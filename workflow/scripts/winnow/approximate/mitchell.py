"""Mitchell's multiplier: logarithms, linear between powers of two, are added and turned back (Mitchell 1962).

With a = 2^k (1 + x) and w = 2^l (1 + y), the product is 2^(k+l) (1 + x + y), or 2^(k+l+1) (x + y) where x + y >= 1.
Magnitudes are multiplied, and no fraction is cut off: every product is a whole number.
"""

from __future__ import annotations

import numpy as np

from winnow.approximate.circuit import Circuit, leading_power, magnitudes
from winnow.study.multipliers import Multiplier


def circuit(_: Multiplier) -> Circuit:
    """Return the products of `mitchell`; they have no form of few terms."""
    sign, magnitude = magnitudes()
    power = leading_power(magnitude)
    product = np.multiply.outer(power, power)
    fractions = np.multiply.outer(magnitude - power, power)  # 2^(k+l) x
    fractions = fractions + fractions.T
    products = np.where(fractions < product, product + fractions, 2 * fractions)
    return Circuit(np.multiply.outer(sign, sign) * products, None)
