"""The machine a measurement was taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil
import torch

from winnow.study.speed import Machine
from winnow.study.vocabulary import RUNTIMES


def machine() -> Machine:
    """Describe where a measurement was taken: a number without it says little."""
    packages = (*(runtime.package for runtime in RUNTIMES.values()), "torchvision", "torchao")
    flags = torch.cpu.get_capabilities()
    return Machine(
        processor=_processor(),
        logical_cpus=os.cpu_count(),
        vector_extensions=tuple(
            name for name in ("amx_int8", "avx2", "avx512_f", "avx512_vnni", "avx_vnni", "neon") if flags.get(name)
        ),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions={package: importlib.metadata.version(package) for package in packages},
    )


def clock_mhz() -> float | None:
    """Return the mean clock of all CPUs at this moment, where the system tells it; a virtual machine may not."""
    clocks = psutil.cpu_freq()
    return float(clocks.current) if clocks and clocks.current else None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
