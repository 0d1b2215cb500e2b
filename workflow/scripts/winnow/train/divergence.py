"""Values that are no numbers: a training run that leads to them has diverged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from winnow.errors import WinnowError


def without_value(model: nn.Module) -> set[str]:
    """Return the parameters and buffers that hold infinities or no numbers."""
    return {name for name, value in model.state_dict().items() if not bool(value.isfinite().all())}


@contextmanager
def divergence_named(model: nn.Module, unset: set[str], diverged: Callable[[], WinnowError]) -> Iterator[None]:
    """Say of a failure that the network has diverged, if it has: what is no number breaks operators, too.

    Args:
        unset: parameters and buffers that had no value before training, as a range before anything was seen.
        diverged: returns the error that says so.
    """
    try:
        yield
    except Exception as error:
        if without_value(model) <= unset:
            raise
        raise diverged() from error
