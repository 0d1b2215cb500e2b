"""The runtimes people ship on, each in a module of its own that is loaded by name.

A module of a runtime that ships has `load`, `failure`, `integer_layers` and `kernels` as in `Shipping`; one that runs
the trained module has `load_module`.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from winnow.config.settings import ModelSettings
from winnow.data.normalization import Normalization
from winnow.study.task import Task
from winnow.study.vocabulary import RUNTIMES, SCORED

Network = Callable[[np.ndarray], np.ndarray]
"""Images [N, C, H, W] of the type that its file takes (`inputs`) -> float32 logits [N, classes]."""


WARMING = 2
"""Calls of a profiled file that do not count."""


@dataclass(frozen=True)
class Trained:
    """The trained network that a file was exported from: built by its settings for a task, with stored weights."""

    settings: ModelSettings
    task: Task
    weights: str | Path


@dataclass(frozen=True)
class Kernel:
    """What a runtime executes of a file as one.

    Attributes:
        names: that its node may have in the file.
        ms: of a batch, the median of some.
    """

    names: tuple[str, ...]
    ms: float


class Shipping(Protocol):
    """What executes a model.onnx."""

    def load(self, path: str | Path, threads: int, hint: str = "") -> Network:
        """Load a file on the CPU, with all optimizations of the runtime.

        Args:
            hint: of a precision, in which all is computed that is not quantized; "" for fp32.

        Raises:
            WinnowError: the runtime does not load it.
        """

    def failure(self, path: str | Path, hint: str = "") -> str | None:
        """Return in a line why the runtime does not load and run a file, or not in the precision of the hint on this
        processor; None if it does. A crash does no harm."""

    def integer_layers(self, path: str | Path, shape: Sequence[int]) -> list[tuple[str, ...]]:
        """Return what it executes on integers: for each product the names that its node may have in the file.

        Args:
            shape: (C, H, W) of one image.
        """

    def kernels(self, path: str | Path, images: np.ndarray, threads: int, seconds: float) -> list[Kernel]:
        """Return all that it executes of a file, timed by its own profile, in batches for so many seconds."""


def calls(seconds: float) -> Iterator[None]:
    """Yield for so many seconds, and at least three times, after `WARMING` times that do not count."""
    for _ in range(WARMING + 3):
        yield
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield


def shipping(runtime: str) -> Shipping:
    """Return a runtime that ships, by its name in the vocabulary."""
    return cast(Shipping, importlib.import_module(RUNTIMES[runtime].module))


def failures(path: str | Path, names: Iterable[str] = SCORED, hint: str = "") -> dict[str, str]:
    """Return why runtimes do not load and run a file, by name; those that do are left out.

    The first of those that score is not asked without a hint: its numbers are the network's, so it has to, and its
    `load` raises.

    Args:
        names: of runtimes; those that run the trained module need no file.
        hint: of the precision that they are to compute in.
    """
    asked = SCORED if hint else SCORED[1:]
    reasons = {name: shipping(name).failure(path, hint) for name in names if name in asked}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def load_module(runtime: str, trained: Trained, baked_in: Normalization | None, threads: int) -> Network:
    """Load a trained module in a runtime that does not ship, for comparison.

    Args:
        baked_in: what the exported file does before the network, and is to be done here, too.
    """
    network: Network = importlib.import_module(RUNTIMES[runtime].module).load_module(trained, baked_in, threads)
    return network
