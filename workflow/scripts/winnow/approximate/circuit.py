"""A multiplier as all its products, and as sums of products of functions of its operands where it has such a form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OPERANDS = np.arange(-128, 128)
"""All int8 numbers: the order of rows and columns of a table."""


@dataclass(frozen=True, eq=False)
class Terms:
    """M(a, w) = sum over t of left[t, a] * right[t, w]: ordinary multiplications after a look-up of each operand.

    Attributes:
        left: int64 [T, 256], functions of the activation -128..127.
        right: int64 [T, 256], functions of the weight.
    """

    left: np.ndarray
    right: np.ndarray

    @property
    def table(self) -> np.ndarray:
        """Return all products, int64 [256, 256]."""
        table: np.ndarray = self.left.T @ self.right
        return table


@dataclass(frozen=True, eq=False)
class Circuit:
    """What a multiplier returns for every pair of operands.

    Attributes:
        table: int64 [256, 256], by activation -128..127 and weight -128..127.
        terms: the same in few terms; None where there is no such form.
    """

    table: np.ndarray
    terms: Terms | None


def of_terms(left: list[np.ndarray], right: list[np.ndarray]) -> Circuit:
    """Return the circuit that adds up products of functions, each int64 [256]."""
    terms = Terms(np.stack(left), np.stack(right))
    return Circuit(terms.table, terms)


def magnitudes() -> tuple[np.ndarray, np.ndarray]:
    """Return signs and magnitudes of all operands, for circuits that multiply magnitudes: int64 [256] each."""
    return np.sign(OPERANDS), np.abs(OPERANDS)


def leading_power(magnitude: np.ndarray) -> np.ndarray:
    """Return the largest power of two that is no larger, of 0 itself 0; int64 like `magnitude`."""
    powers = 1 << np.arange(9)
    reached = np.where(powers <= magnitude[..., None], powers, 0)
    largest: np.ndarray = reached.max(-1)
    return largest
