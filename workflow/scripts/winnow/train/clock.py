"""Time and energy of a training run, and the signal that ends it early."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Self

from winnow.measure.energy import EnergyMeter
from winnow.study.energy import Energy
from winnow.train.progress import Progress


class Clock:
    """Adds wall time and energy to the progress of a training run, from now on."""

    def __init__(self, progress: Progress, meter: EnergyMeter) -> None:
        self._progress, self._meter = progress, meter
        self._mark = self._saved = time.monotonic()
        meter.start()

    def lap(self) -> None:
        """Add what was spent since the last call."""
        now = time.monotonic()
        self._progress.seconds += now - self._mark
        self._progress.epoch_seconds += now - self._mark
        self._progress.joules += self._meter.lap()
        self._mark = now

    def since_save(self) -> float:
        """Return the seconds since `saved` was last called."""
        return time.monotonic() - self._saved

    def saved(self) -> None:
        self._saved = time.monotonic()

    def energy(self) -> Energy:
        """Return the energy of the whole run, earlier attempts included."""
        return self._meter.record(self._progress.joules, self._progress.seconds)


class Interruption:
    """While it is entered, SIGTERM is noted instead of obeyed: the training run saves its state first."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        signal.signal(signal.SIGTERM, self._previous)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
