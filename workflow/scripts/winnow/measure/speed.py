"""How long one batch takes, and what it costs in energy."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from winnow.config.settings import BenchmarkSettings
from winnow.deploy.runtimes import Network, Trained, failures, load_module, shipping
from winnow.measure.energy import EnergyMeter
from winnow.measure.machine import machine
from winnow.measure.neighbours import Neighbours
from winnow.study.identity import Identity
from winnow.study.speed import NOTICEABLE_LOAD, Speed, Timing
from winnow.study.vocabulary import RUNTIMES

log = logging.getLogger(__name__)
_ROUNDS = 5
_MIN_REPEATS = 10  # over all rounds, however slow the network


@dataclass
class _Timing:
    """One configuration, and what has been measured of it: `images` are float32 [N, C, H, W]."""

    runtime: str
    threads: int
    images: np.ndarray
    network: Network
    milliseconds: list[float] = field(default_factory=list)
    joules: float = 0.0

    def run(self, seconds: float, repeats: int) -> None:
        """Infer for `seconds`, and at least `repeats` times."""
        end = time.perf_counter() + seconds
        done = 0
        while done < repeats or time.perf_counter() < end:
            start = time.perf_counter()
            self.network(self.images)
            self.milliseconds.append((time.perf_counter() - start) * 1000)
            done += 1


def benchmark(
    path: str | Path,
    trained: Trained | None,
    shape: tuple[int, int, int],
    settings: BenchmarkSettings,
    identity: Identity,
) -> Speed:
    """Time a model.onnx in every configured runtime, batch size and thread count.

    The configurations take turns in several rounds, so that a slow spell of the machine falls on all of them. A runtime
    is left out where it does not load the file.

    Args:
        trained: what the file was exported from, for torch eager; None leaves it out.
        shape: (C, H, W).
    """
    timings = list(_configurations(path, trained, shape, settings))
    meter = EnergyMeter(settings.tdp_watts)
    for timing in timings:
        timing.run(settings.warmup_seconds, repeats=3)
        timing.milliseconds.clear()
    neighbours = Neighbours()
    meter.start()
    for _ in range(_ROUNDS):
        for timing in timings:
            meter.lap()
            timing.run(settings.seconds / _ROUNDS, repeats=_MIN_REPEATS // _ROUNDS)
            timing.joules += meter.lap()
    load = neighbours.busy_cores()
    if load > NOTICEABLE_LOAD:
        log.warning("%s: other programs kept %.1f cores busy while it was timed; latencies may be too high", path, load)
    summaries = tuple(_summary(timing, meter) for timing in timings)
    return Speed(**asdict(identity), machine=machine(), other_load=load, timings=summaries)


def _configurations(
    path: str | Path, trained: Trained | None, shape: tuple[int, int, int], settings: BenchmarkSettings
) -> Iterator[_Timing]:
    random = np.random.default_rng(0)
    failed = failures(path, settings.runtimes)
    for name, reason in failed.items():
        log.warning("%s: not timed in %s, which does not load it: %s", path, RUNTIMES[name].label, reason)
    runtimes = [name for name in settings.runtimes if name not in failed and (trained or RUNTIMES[name].ships)]
    for threads in settings.threads:
        for runtime in runtimes:
            network = _load(runtime, path, trained, threads)
            for size in settings.batch_sizes:
                images = random.standard_normal((size, *shape), dtype=np.float32)
                yield _Timing(runtime, threads, images, network)


def _load(runtime: str, path: str | Path, trained: Trained | None, threads: int) -> Network:
    if RUNTIMES[runtime].ships:
        return shipping(runtime).load(path, threads)
    if trained is None:
        raise ValueError(f"{path}: {RUNTIMES[runtime].label} runs the trained module, and none is given")
    return load_module(runtime, trained, threads)


def _summary(timing: _Timing, meter: EnergyMeter) -> Timing:
    times, size = np.array(timing.milliseconds), len(timing.images)
    energy = meter.record(timing.joules, times.sum() / 1000, count=len(times) * size)
    return Timing(
        runtime=timing.runtime,
        batch_size=size,
        threads=timing.threads,
        median_ms=float(np.median(times)),
        p95_ms=float(np.quantile(times, 0.95)),
        mean_ms=float(times.mean()),
        repeats=len(times),
        images_per_second=float(size / (np.median(times) / 1000)),
        energy_per_image=energy,
    )
