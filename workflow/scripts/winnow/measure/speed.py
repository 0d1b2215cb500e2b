"""How long one batch takes, and what it costs in energy."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from winnow.config.settings import BenchmarkSettings
from winnow.deploy.graphs import computation
from winnow.deploy.inputs import Input, read_input
from winnow.deploy.runtimes import Network, Trained, failures, load_module, shipping
from winnow.measure.energy import EnergyMeter
from winnow.measure.machine import clock_mhz, machine
from winnow.measure.median import interval
from winnow.measure.neighbours import Neighbours
from winnow.study.identity import Identity
from winnow.study.speed import NOTICEABLE_LOAD, Speed, Timing
from winnow.study.vocabulary import PRECISIONS, RUNTIMES

log = logging.getLogger(__name__)
_ROUNDS = 20
_PRECISION = 0.02  # width of the median's interval, part of the median, from which on more rounds tell nothing more


@dataclass
class _Timing:
    """One configuration, and what has been measured of it: `images` are [N, C, H, W]."""

    runtime: str
    threads: int
    images: np.ndarray
    network: Network
    rounds: list[list[float]] = field(default_factory=list)  # milliseconds of every call
    joules: float = 0.0

    calls: int = 0  # in a round: as many in each, so that a slow spell counts like any other

    def warm_up(self, seconds: float, of_a_round: float) -> None:
        """Infer untimed for `seconds`, and find how many calls fill the seconds of a round: two at least."""
        end, milliseconds = time.perf_counter() + seconds, [self._call() for _ in range(3)]
        while time.perf_counter() < end:
            milliseconds.append(self._call())
        self.calls = max(2, round(1000 * of_a_round / median(milliseconds)))

    def run(self) -> None:
        self.rounds.append([self._call() for _ in range(self.calls)])

    def _call(self) -> float:
        start = time.perf_counter()
        self.network(self.images)
        return (time.perf_counter() - start) * 1000

    @property
    def interval(self) -> tuple[float, float] | None:
        """What the median of a round lies within; the rounds, unlike single calls, are independent of each other."""
        return interval([median(milliseconds) for milliseconds in self.rounds])

    @property
    def settled(self) -> bool:
        if self.interval is None:
            return False
        low, high = self.interval
        return high - low <= _PRECISION * low


def benchmark(
    path: str | Path,
    trained: Trained | None,
    shape: tuple[int, int, int],
    settings: BenchmarkSettings,
    identity: Identity,
) -> Speed:
    """Time a model.onnx in every configured runtime, batch size and thread count.

    The configurations take turns in rounds, so that a slow spell of the machine falls on all of them; one whose median
    is well known takes no further turn. A runtime is left out where it does not load the file, or does not compute in
    the precision of the network on this processor.

    Args:
        trained: what the file was exported from, for torch eager; None leaves it out.
        shape: (C, H, W).
    """
    hint = PRECISIONS[identity.precision].hint
    untimed = failures(path, settings.runtimes, hint)
    for name, reason in untimed.items():
        log.warning("%s: not timed in %s: %s", path, RUNTIMES[name].label, reason)
    runtimes = [name for name in settings.runtimes if name not in untimed and (trained or RUNTIMES[name].ships)]
    timings = list(_configurations(path, trained, shape, settings, runtimes, hint))
    meter = EnergyMeter(settings.tdp_watts)
    for timing in timings:
        timing.warm_up(settings.warmup_seconds, settings.seconds / _ROUNDS)
    neighbours = Neighbours()
    meter.start()
    for _ in range(_ROUNDS):
        for timing in timings:
            if timing.settled:
                continue
            meter.lap()
            timing.run()
            timing.joules += meter.lap()
    load, clock = neighbours.busy_cores() if timings else 0.0, clock_mhz()
    if load > NOTICEABLE_LOAD:
        log.warning("%s: other programs kept %.1f cores busy while it was timed; latencies may be too high", path, load)
    summaries = tuple(_summary(timing, meter) for timing in timings)
    return Speed(
        **asdict(identity),
        machine=machine(),
        other_load=load,
        clock_mhz=clock,
        computation=computation(path, hint),
        timings=summaries,
        untimed=untimed,
    )


def _configurations(
    path: str | Path,
    trained: Trained | None,
    shape: tuple[int, int, int],
    settings: BenchmarkSettings,
    runtimes: Sequence[str],
    hint: str,
) -> Iterator[_Timing]:
    taken, random = read_input(path), np.random.default_rng(0)
    for threads in settings.threads:
        for runtime in runtimes:
            network = _load(runtime, path, taken, trained, threads, hint)
            for size in settings.batch_sizes:
                yield _Timing(runtime, threads, taken.noise((size, *shape), random), network)


def _load(runtime: str, path: str | Path, taken: Input, trained: Trained | None, threads: int, hint: str) -> Network:
    if RUNTIMES[runtime].ships:
        return shipping(runtime).load(path, threads, hint)
    if trained is None:
        raise ValueError(f"{path}: {RUNTIMES[runtime].label} runs the trained module, and none is given")
    return load_module(runtime, trained, taken.baked_in, threads)


def _summary(timing: _Timing, meter: EnergyMeter) -> Timing:
    times, size = np.concatenate(timing.rounds), len(timing.images)
    low, high = timing.interval or (times.min(), times.max())
    energy = meter.record(timing.joules, times.sum() / 1000, count=len(times) * size)
    return Timing(
        runtime=timing.runtime,
        batch_size=size,
        threads=timing.threads,
        median_ms=float(np.median(times)),
        low_ms=float(low),
        high_ms=float(high),
        p95_ms=float(np.quantile(times, 0.95)),
        mean_ms=float(times.mean()),
        repeats=len(times),
        images_per_second=float(size / (np.median(times) / 1000)),
        energy_per_image=energy,
    )
