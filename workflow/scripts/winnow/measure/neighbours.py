"""How busy other programs keep the machine while something is measured on it."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
_WORKING = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal: all but idle, waiting and guests


class Neighbours:
    """The cores that other programs keep busy, on average from now on; those of other jobs on a cluster's node too."""

    def __init__(self) -> None:
        self._begin = _busy_seconds(), _own_seconds(), time.monotonic()

    def cores(self) -> float | None:
        """Return the average since the beginning; None where the system does not tell."""
        busy, own, begin = self._begin
        now = _busy_seconds()
        if busy is None or now is None:
            return None
        others = (now - busy) - (_own_seconds() - own)
        return max(0.0, others) / max(time.monotonic() - begin, 1e-9)


def _busy_seconds() -> float | None:
    """Return the seconds that all cores have worked since the start of the machine."""
    try:
        ticks = [int(word) for word in _STAT.read_text().splitlines()[0].split()[1:]]
        return sum(ticks[index] for index in _WORKING) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
