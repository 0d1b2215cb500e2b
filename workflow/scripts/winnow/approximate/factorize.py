"""From a table of products to the few terms it is made of, if it is: then convolutions compute it, in ONNX too."""

from __future__ import annotations

import numpy as np

from winnow.approximate.circuit import Terms

MOST_TERMS = 8
"""A table that needs more is looked up: that takes as long."""


def factorized(table: np.ndarray) -> Terms | None:
    """Write a table as an exact sum of products of whole numbers.

    One row and one column that cross in a number that divides the column are a term; what is left has a rank less.
    The smallest such number is taken, so that bits come before what they make up.

    Args:
        table: int64 [256, 256].

    Returns:
        None where it takes more than `MOST_TERMS`, or none of its entries serves.
    """
    rest = table.astype(np.int64)
    left: list[np.ndarray] = []
    right: list[np.ndarray] = []
    while rest.any():
        if len(left) == MOST_TERMS:
            return None
        columns, rows = np.gcd.reduce(rest, axis=0), np.gcd.reduce(rest, axis=1)
        size = np.abs(rest)
        divides = (size > 0) & ((columns[None] % np.maximum(size, 1) == 0) | (rows[:, None] % np.maximum(size, 1) == 0))
        if not divides.any():
            return None
        a, w = np.unravel_index(np.where(divides, size, np.iinfo(np.int64).max).argmin(), table.shape)
        column, row, crossing = rest[:, w].copy(), rest[a].copy(), rest[a, w]
        if columns[w] % crossing == 0:
            column //= crossing
        else:
            row //= crossing
        left.append(column)
        right.append(row)
        rest = rest - np.multiply.outer(column, row)
    if not left:  # a circuit that always returns 0
        left, right = [np.zeros(256, np.int64)], [np.zeros(256, np.int64)]
    terms = Terms(np.stack(left), np.stack(right))
    assert np.array_equal(terms.table, table)  # by construction; every number of a network rests on it
    return terms
