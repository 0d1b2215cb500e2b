"""The exact multiplier: through it, an int8 network stays what it is."""

from __future__ import annotations

from winnow.approximate.circuit import OPERANDS, Circuit, of_terms
from winnow.study.multipliers import Multiplier


def circuit(_: Multiplier) -> Circuit:
    """Return the products a * w."""
    return of_terms([OPERANDS], [OPERANDS])
