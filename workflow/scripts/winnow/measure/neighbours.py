"""How busy other programs keep the machine while something is measured."""

from __future__ import annotations

import time

import psutil

_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")  # guests are part of `user`


class Neighbours:
    """Counts the CPU seconds of all programs but this process, from its construction on.

    In a virtual machine the time that its host gives to others counts; in a container, all programs of its host.
    """

    def __init__(self) -> None:
        self._begin = _now()

    def busy_cores(self) -> float:
        """Return how many cores other programs have kept busy, on average; good to 0.02 after a second."""
        seconds, everyone, own = (now - then for now, then in zip(_now(), self._begin, strict=True))
        return max(0.0, everyone - own) / seconds


def _now() -> tuple[float, float, float]:
    """Return the time, and the CPU seconds of all programs and of this process."""
    everyone, own = psutil.cpu_times(), psutil.Process().cpu_times()
    return time.perf_counter(), sum(getattr(everyone, kind, 0.0) for kind in _BUSY), own.user + own.system
