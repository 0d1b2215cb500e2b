"""Energy from the machine's own counters, or an estimate that says it is one.

Counters are read through Zeus (You et al. 2023): NVML or AMD SMI for GPUs, RAPL for CPU packages and memory.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable

from winnow.study.energy import Energy

_IDLE_SECONDS = 1.0


class EnergyMeter:
    """Measures the energy spent on a device since `start`.

    With a counter, the power drawn just before `start` is taken as idle and subtracted; whatever else runs
    on the machine is included. Without one, energy is estimated as CPU seconds of this process times its
    share of the configured thermal design power.

    Args:
        tdp_watts: thermal design power of all CPUs of this machine together.
        gpu: the number of the GPU that does the work, whose counter is read too.
    """

    def __init__(self, tdp_watts: float, gpu: int | None = None) -> None:
        self._counters = _counters(gpu)
        self._watts_per_cpu = tdp_watts / (os.cpu_count() or 1)
        self._idle_watts = 0.0
        self._last = (0.0, 0.0)

    @property
    def source(self) -> str:
        return "+".join(self._counters) or "estimate"

    def start(self) -> None:
        """Measure the idle power, then begin."""
        if self._counters:
            before = self._read()
            time.sleep(_IDLE_SECONDS)
            after = self._read()
            self._idle_watts = (after[1] - before[1]) / (after[0] - before[0])
        self._last = self._read()

    def lap(self) -> float:
        """Return the joules spent since the last call or `start`; with a counter, above idle."""
        now = self._read()
        seconds, joules = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return max(0.0, joules - self._idle_watts * seconds)

    def record(self, joules: float, seconds: float, count: int = 1) -> Energy:
        """Describe a measurement: joules for each of `count` pieces of work, and mean watts over `seconds`."""
        return Energy(
            joules=joules / count,
            watts=joules / seconds if seconds else None,
            source=self.source,
            estimated=not self._counters,
            idle_watts=self._idle_watts if self._counters else None,
        )

    def _read(self) -> tuple[float, float]:
        """Return (seconds, joules), both since some fixed point."""
        if self._counters:
            return time.monotonic(), sum(counter() for counter in self._counters.values())
        return time.monotonic(), time.process_time() * self._watts_per_cpu


def _counters(gpu: int | None) -> dict[str, Callable[[], float]]:
    """Return the counters that work here, by name; each gives joules since some fixed point."""
    found: dict[str, Callable[[], float]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if gpu is not None:
            found |= _gpu_counter(gpu)
        if cpu := _cpu_counter():
            found["rapl"] = cpu
    return found


def _gpu_counter(index: int) -> dict[str, Callable[[], float]]:
    from zeus.device import get_gpus
    from zeus.device.gpu import NVIDIAGPUs
    from zeus.exception import ZeusBaseError

    try:
        gpus = get_gpus()
        if not gpus.supports_get_total_energy_consumption(index):
            return {}
        gpus.get_total_energy_consumption(index)
    except (ZeusBaseError, OSError, ValueError):  # ValueError: CUDA_VISIBLE_DEVICES names a GPU by its UUID
        return {}
    name = "nvml" if isinstance(gpus, NVIDIAGPUs) else "amdsmi"
    return {name: lambda: gpus.get_total_energy_consumption(index) / 1000}  # mJ


def _cpu_counter() -> Callable[[], float] | None:
    from zeus.device import get_cpus
    from zeus.exception import ZeusBaseError

    try:
        packages = get_cpus().cpus
        for package in packages:
            package.get_total_energy_consumption()
    except (ZeusBaseError, OSError):  # OSError: RAPL is there, but only root may read it
        return None

    def joules() -> float:
        readings = [package.get_total_energy_consumption() for package in packages]
        return float(sum(reading.cpu_mj + (reading.dram_mj or 0) for reading in readings)) / 1000

    return joules if packages else None
