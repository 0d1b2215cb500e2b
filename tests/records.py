"""Records with plain numbers: what a test does not care about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from winnow.measure.metrics import FURTHER
from winnow.study.energy import Energy
from winnow.study.quality import (
    Coverage,
    Deviation,
    InRuntime,
    LayerNoise,
    Quality,
    Quantization,
    RuntimeCoverage,
    Scores,
    Sizes,
)
from winnow.study.recipe import Recipe
from winnow.study.sparsity import LayerSparsity, Sparsity, WholeNetwork
from winnow.study.speed import Machine, Speed, Timing
from winnow.study.training import Training
from winnow.study.vocabulary import FP32, RUNTIMES, SCORED

ENERGY = Energy(joules=0.004, watts=2.0, source="estimate", estimated=True, idle_watts=None)
MACHINE = Machine(
    processor="A processor",
    logical_cpus=2,
    vector_extensions=("avx2",),
    system="Linux x86_64",
    python="3.11.0",
    versions={runtime.package: f"{number}.0" for number, runtime in enumerate(RUNTIMES.values(), 1)},
)
KEYS = {"dataset": "d", "model": "m", "seed": 0, "run": "dense", "recipe": FP32, "precision": FP32}


def scores(top1: float, samples: int = 100, loss: float = 0.1) -> Scores:
    return Scores(
        top1=top1, most_frequent=0.5, top5=None, loss=loss, samples=samples, further=dict.fromkeys(FURTHER, 0.05)
    )


def training(seconds: float = 60.0, joules: float = 100.0) -> Training:
    return Training(
        trained_here=True,
        imported=False,
        seconds=seconds,
        energy=replace(ENERGY, joules=joules),
        device="cpu",
        precision=FP32,
        resumed=0,
        resumed_elsewhere=(),
        total_seconds=seconds,
        total_joules=joules,
        energy_estimated=True,
    )


def coverage(share: float = 0.0, **changes: Any) -> Coverage:
    """Three layers, of which `share` runs on integers in every runtime that ships."""
    integer = RuntimeCoverage(share, round(3 * share), ())
    values = {"layers": 3, "parameters": share, "operators": {"Conv": 3}, "runtimes": dict.fromkeys(SCORED, integer)}
    return Coverage(**(values | {"total_macs": 10, "nonzero_macs": 10} | changes))


def quantization(error: float = 0.05, layers: tuple[LayerNoise, ...] = ()) -> Quantization:
    validation = Deviation(error=error, sqnr_db=31.0, agreement=1.0, samples=100)
    return Quantization(error=error, sqnr_db=30.0, validation=validation, layers=layers)


def quality(top1: float = 0.9, **changes: Any) -> Quality:
    """Return the record of a dense fp32 network, or of another with its own `quantization`, `pruning` and so on.

    The recipe is the plain one of the precision, unless it is given.
    """
    precision = changes.get("precision", FP32)
    values = KEYS | {
        "recipe": precision,
        "quantized_by": None if precision == FP32 else Recipe(precision),
        "test": scores(top1),
        "confusion": ((50, 0), (0, 50)),
        "validation": scores(top1),
        "quantization": None if precision == FP32 else quantization(),
        "runtimes": {name: InRuntime(runs=True, agrees=True, scores=scores(top1), difference=0.0) for name in SCORED},
        "coverage": coverage(),
        "saturating": (),
        "size": Sizes(
            onnx_bytes=2**21,
            gzip_bytes=2**20,
            sparse_bytes=2**20,
            packed_bytes=None,
            state_dict_bytes=2**21,
            parameters=5,
            nonzero_parameters=4,
        ),
        "training": training(),
        "pruning": None,
        "multiplication": None,
    }
    return Quality(**(values | changes))


def not_run(reason: str) -> InRuntime:
    return InRuntime(runs=False, agrees=False, reason=reason)


def timing(runtime: str = "onnxruntime", batch_size: int = 1, threads: int = 2, median_ms: float = 2.0) -> Timing:
    return Timing(
        runtime=runtime,
        batch_size=batch_size,
        threads=threads,
        median_ms=median_ms,
        low_ms=0.99 * median_ms,
        high_ms=1.01 * median_ms,
        p95_ms=1.5 * median_ms,
        mean_ms=median_ms,
        repeats=10,
        images_per_second=1000 * batch_size / median_ms,
        energy_per_image=ENERGY,
    )


def speed(*timings: Timing, **changes: Any) -> Speed:
    recipe = changes.get("precision", FP32)
    values = {"recipe": recipe, "machine": MACHINE, "other_load": 0.0, "clock_mhz": 2400.0, "computation": "c0"}
    return Speed(**(KEYS | values | {"timings": timings or (timing(),)} | changes))


def sparsity(slug: str, number: int, axes: dict[str, Any], removed: float, **changes: Any) -> Sparsity:
    """Return the record of a round of pruning that removed this share of 1,000 weights."""
    kept = round(1000 * (1 - removed))
    values = {
        "strategy": slug,
        "round": number,
        "axes": axes,
        "unit": "weights",
        "requested": removed,
        "achieved": removed,
        "kept": kept,
        "total": 1000,
        "whole_network": WholeNetwork(weights=1000, kept=kept, sparsity=removed),
        "layers": (),
    }
    return Sparsity(**(values | changes))


def layer_sparsity(layer: str, removed: float) -> LayerSparsity:
    return LayerSparsity(
        layer=layer,
        weights=100,
        kept=round(100 * (1 - removed)),
        sparsity=removed,
        outputs=10,
        kept_outputs=10,
        spared=False,
    )
