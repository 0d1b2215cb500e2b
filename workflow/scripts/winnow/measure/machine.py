"""The machine a measurement was taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil

from winnow.study.speed import Machine
from winnow.study.vocabulary import RUNTIMES

_EXTENSIONS = {
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
    "avx2": "avx2",
    "avx512_bf16": "avx512_bf16",
    "avx512_f": "avx512f",
    "avx512_fp16": "avx512_fp16",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "neon": "asimd",
}
"""What multiplies vectors, and its flag in /proc/cpuinfo."""


def machine() -> Machine:
    """Describe where a measurement was taken: a number without it says little."""
    packages = (*(runtime.package for runtime in RUNTIMES.values()), "torchvision")
    processor, flags = _processor()
    return Machine(
        processor=processor,
        logical_cpus=os.cpu_count(),
        vector_extensions=tuple(name for name, flag in _EXTENSIONS.items() if flag in flags),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions={package: importlib.metadata.version(package) for package in packages},
    )


def clock_mhz() -> float | None:
    """Return the mean clock of all CPUs at this moment, where the system tells it; a virtual machine may not."""
    clocks = psutil.cpu_freq()
    return float(clocks.current) if clocks and clocks.current else None


def _processor() -> tuple[str, frozenset[str]]:
    """Return the name of the first processor and the flags that Linux gives it; of other systems only the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    flags = said.get("flags", said.get("Features", ""))
    return said.get("model name") or platform.processor() or "unknown", frozenset(flags.split())
