"""What is timed, and what is asked of a network to ship."""

from __future__ import annotations

from typing import Annotated

from winnow.config.choices import OBJECTIVES, TARGETS
from winnow.config.keys.kinds import OneOf, Real, Whole
from winnow.config.keys.section import Section, key
from winnow.study.vocabulary import RUNTIMES, SCORED


class Benchmark(Section):
    """How latency and energy of inference are measured."""

    runtimes: tuple[Annotated[str, OneOf(RUNTIMES)], ...] = key(
        "where networks are timed; `torch` only those in fp32", tuple(RUNTIMES), example=["openvino"], at_least_one=True
    )
    batch_sizes: tuple[Annotated[int, Whole(at_least=1, at_most=100_000, unit="images")], ...] = key(
        "images per inference", (1, 64), example=[1], at_least_one=True
    )
    threads: tuple[Annotated[int, Whole(at_least=1, at_most=1024)], ...] = key(
        "CPU threads of the runtime", (1,), example=[1, 4], at_least_one=True
    )
    warmup_seconds: Annotated[float, Real(at_least=0, at_most=3600, unit="s")] = key(
        "untimed, before each configuration", 1, example=0.5
    )
    seconds: Annotated[float, Real(above=0, at_most=3600, unit="s")] = key(
        "timed at most, for each configuration, in up to 20 rounds in which all take turns; one whose median is known "
        "to within 1 % takes no further turn",
        5,
        example=10,
    )
    tdp_watts: Annotated[float, Real(above=0, at_most=1_000_000, unit="W")] = key(
        "thermal design power of all CPUs of the machine; for an estimate, marked as one, where there is no energy "
        "counter",
        65,
        example=280,
    )


class Recommend(Section):
    """Which network is to be shipped: the limits, where they are looked up, and what is best within them."""

    max_accuracy_drop: Annotated[float | None, Real(at_least=0, unit="percentage points")] = key(
        "largest loss of validation accuracy against the dense fp32 network", 1, null="any", example=0.5
    )
    max_size_mb: Annotated[float | None, Real(above=0, unit="MB (2^20 bytes)")] = key(
        "largest `model.onnx`", None, null="any", example=1
    )
    max_latency_ms: Annotated[float | None, Real(above=0, unit="ms")] = key(
        "largest median latency of a batch", None, null="any", example=2
    )
    max_energy_mj: Annotated[float | None, Real(above=0, unit="mJ")] = key(
        "largest energy for one image", None, null="any", example=5
    )
    runtime: Annotated[str | None, OneOf({name: RUNTIMES[name] for name in SCORED})] = key(
        "where latency and energy are looked up, one of `benchmark.runtimes`",
        None,
        null="`openvino`, if it is timed, else the other",
        example="onnxruntime",
    )
    batch_size: Annotated[int | None, Whole(at_least=1, at_most=100_000, unit="images")] = key(
        "at which of `benchmark.batch_sizes`", None, null="the first of them", example=64
    )
    threads: Annotated[int | None, Whole(at_least=1, at_most=1024)] = key(
        "at which of `benchmark.threads`", None, null="the first of them", example=4
    )
    objective: Annotated[str | None, OneOf(OBJECTIVES)] = key(
        "what is best within the limits",
        None,
        null="`latency`, or `size` where no such runtime is timed; `multiplier_power` for an accelerator",
        example="energy",
    )
    target: Annotated[str, OneOf(TARGETS)] = key(
        "what the network is to run on; for an accelerator networks with approximate multipliers may be shipped, of "
        "which no limit of latency, energy or size is asked",
        "processor",
        example="accelerator",
    )
