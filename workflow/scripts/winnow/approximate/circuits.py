"""Multipliers by name: what computes one is a module that its family names."""

from __future__ import annotations

from importlib import import_module

from winnow.approximate.circuit import Circuit
from winnow.study.multipliers import FAMILIES, Multiplier


def circuit(multiplier: Multiplier) -> Circuit:
    """Return all products of a multiplier.

    Raises:
        WinnowError: it is a user's table that cannot be read.
    """
    made: Circuit = import_module(FAMILIES[multiplier.family].module).circuit(multiplier)
    return made
