"""A multiplier of the user's own, as a table of its products.

The file is a NumPy array of whole numbers [256, 256]: row a + 128, column w + 128 has what the circuit returns for the
activation a and the weight w, both -128..127.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from winnow.approximate.circuit import OPERANDS, Circuit
from winnow.approximate.factorize import factorized
from winnow.errors import WinnowError
from winnow.study.multipliers import Multiplier

_LOW, _HIGH = -(2**15), 2**15 - 1  # the output of such a circuit has 16 bits


def circuit(multiplier: Multiplier) -> Circuit:
    """Read the products of a user's circuit.

    Raises:
        WinnowError: the file is absent, of another shape or type, or its rows and columns are in another order.
    """
    path = Path(multiplier.table or "")
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WinnowError(f"{path}: not readable as a NumPy array ({reason}); write it with numpy.save") from error
    if not isinstance(table, np.ndarray) or table.shape != (256, 256) or table.dtype.kind not in "iu":
        found = f"{table.dtype} {list(table.shape)}" if isinstance(table, np.ndarray) else "several arrays"
        raise WinnowError(f"{path}: holds {found}; a multiplier is a table of whole numbers [256, 256]")
    table = table.astype(np.int64)
    if table.min() < _LOW or table.max() > _HIGH:
        raise WinnowError(
            f"{path}: products from {table.min()} to {table.max()}; those of a signed 8 x 8 multiplier have 16 bits, "
            f"{_LOW} to {_HIGH}"
        )
    exact = np.multiply.outer(OPERANDS, OPERANDS)
    rolled = np.roll(table, 128, (0, 1))  # as by indices 0..127, -128..-1
    if np.abs(rolled - exact).mean() < np.abs(table - exact).mean():
        raise WinnowError(
            f"{path}: its rows and columns seem to run from 0 to 127 and from -128 to -1; they have to run from -128 "
            "to 127: numpy.roll(table, 128, (0, 1))"
        )
    return Circuit(table, factorized(table))
