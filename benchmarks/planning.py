"""Time and memory of planning: the default study, and a grid of 10,000 pruning experiments.

    .venv/bin/python benchmarks/planning.py

A dry run of each in an empty folder. Read the CPU seconds where other programs share the machine: nothing of
planning runs in parallel, so on a quiet one the wall time is about the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
# 2 criteria x 100 ratios x 50 seeds, each pruned and retrained once, exported, evaluated and benchmarked
GRID = {
    "study": "grid",
    "seeds": list(range(50)),
    "datasets": {"cifar10": {"source": "cifar10"}},
    "models": {"resnet20": {}},
    "quantization": {"methods": []},
    "pruning": {
        "criterion": ["l1", "random"],
        "ratio": [round(0.005 + 0.0095 * number, 4) for number in range(100)],
    },
}


def main() -> None:
    print(f"{'study':<26} {'jobs':>7} {'CPU s':>7} {'wall s':>7} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder) / "grid.yaml"
        grid.write_text(yaml.safe_dump(GRID))
        for name, config in {"default": REPOSITORY / "config/config.yaml", "10,000 experiments": grid}.items():
            jobs, cpu, wall, peak = plan(config, Path(folder))
            print(f"{name:<26} {jobs:>7} {cpu:>7.1f} {wall:>7.1f} {peak:>8.0f}", flush=True)


def plan(config: Path, folder: Path) -> tuple[int, float, float, float]:
    """Return the jobs of a dry run, its CPU and wall seconds, and its peak memory in MB."""
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--profile", str(REPOSITORY / "profiles/local")]
    command += ["--configfile", str(config), "--directory", str(folder)]
    output, begin = folder / "output.txt", time.perf_counter()
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
    wall, text = time.perf_counter() - begin, output.read_text()
    total = re.search(r"^total +(\d+)$", text, flags=re.MULTILINE)
    if status or not total:
        sys.exit(text[-3000:])
    return int(total.group(1)), usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
