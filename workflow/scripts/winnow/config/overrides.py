"""Keys that others stand in for: a network's own training, and what `recommend` leaves open."""

from __future__ import annotations

from typing import TypeVar

from winnow.config.choices import ACCELERATOR
from winnow.config.keys.measurement import Recommend
from winnow.config.keys.quantization import Qat
from winnow.config.keys.section import Section
from winnow.config.keys.study import Configuration
from winnow.config.keys.training import Training
from winnow.study.vocabulary import RUNTIMES, SCORED

S = TypeVar("S", bound=Section)
SHIPPED_IN = tuple(sorted(SCORED, key=lambda name: not RUNTIMES[name].preferred))
"""Runtimes that every precision is timed in, the preferred one first."""
LOOKED_UP = {"runtime": "runtimes", "batch_size": "batch_sizes", "threads": "threads"}
"""Keys of `recommend` by the keys of `benchmark` that list their values."""


def training_of(config: Configuration, model: str) -> Training:
    """Return how a network is trained: its own keys, and the rewind points that pruning needs.

    A network with weights has none: the early epochs of its training are not known.
    """
    kept = config.training.rewind_epochs
    needed = tuple(epoch for epoch in rewind_epochs(config) if epoch not in kept)
    points = () if config.models[model].weights else kept + needed
    base = config.training.model_copy(update={"rewind_epochs": points})
    return _overridden(base, config.models[model].training)


def qat_of(config: Configuration, model: str) -> Qat:
    """Return how a network is trained to be quantized."""
    return _overridden(config.quantization.qat, config.models[model].qat)


def rewind_epochs(config: Configuration) -> list[int]:
    """Return the epochs whose weights the grid of pruning goes back to, in order."""
    return sorted({epoch for epoch in config.pruning.rewind if isinstance(epoch, int)}) if config.pruning else []


def recommend_of(config: Configuration) -> Recommend:
    """Return the section in which what is left open is what is timed first."""
    benchmark = config.benchmark
    accelerated = config.recommend.target == ACCELERATOR
    timed = [runtime for runtime in SHIPPED_IN if runtime in benchmark.runtimes]
    first = {
        "runtime": (timed or SHIPPED_IN)[0],
        "batch_size": benchmark.batch_sizes[0],
        "threads": benchmark.threads[0],
        "objective": "multiplier_power" if accelerated else "latency" if timed else "size",
    }
    left_open = {key: value for key, value in first.items() if getattr(config.recommend, key) is None}
    return config.recommend.model_copy(update=left_open)


def _overridden(base: S, own: S) -> S:
    """Return a section with the keys that are given in another; in sections within it, too."""
    given = {key: getattr(own, key) for key in own.model_fields_set}
    within = {key: _overridden(getattr(base, key), value) for key, value in given.items() if isinstance(value, Section)}
    return base.model_copy(update=given | within)
