"""Time and memory of planning: the default study, grids of pruning by size, a grid of recipes, and one job's own plan.

    .venv/bin/python benchmarks/planning.py

The last result:

    AMD EPYC, 2 logical CPUs, Python 3.11.7, snakemake 9.27.1, nothing else computing, n = 3
    study                                   jobs   CPU s    from      to  wall s  peak MB
    default study                           5066     6.0     6.0     6.1     6.0      261
    pruning, 1,000 jobs                     1014     2.4     2.3     2.4     2.3      165
    pruning, 10,000 jobs                   10050    11.0    10.9    11.0    10.9      360
    pruning, 50,000 jobs                   50210    48.1    47.4    48.4    48.1     1244
    pruning, 100,000 jobs                 100410   102.0   101.8   119.4   102.1     2358
    24 recipes, 100 strategies, 3 seeds    23338    24.0    22.0    24.7    24.0      663
    one job of 100,000 jobs                    1     2.0     2.0     2.3     1.9      163

All rows but the default study and 50,000 jobs were measured just before flags of files were looked up faster, which
took 5 to 7 % off these two.

Each is a dry run in an empty folder, and of the largest grid also what one job on a cluster does before it begins: it
reads the workflow and plans itself. All take turns. Read the CPU seconds where other programs share the machine:
nothing of planning runs in parallel, so on a quiet one the wall time is about the same.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow" / "scripts"))

RATIOS = [round(0.005 + 0.0095 * number, 4) for number in range(100)]
LARGEST, MOST = "100,000 jobs", 20_000
SIZES = {"1,000 jobs": 200, "10,000 jobs": 2_000, "50,000 jobs": 10_000, LARGEST: MOST}
# the last of the largest grid
RUN = f"random-global-unstructured-{RATIOS[-1]}-x1-none/round1"
JOB = f"evaluate:dataset=cifar10,model=resnet20,seed=99,run={RUN},recipe=fp32"


@dataclass(frozen=True)
class Planned:
    """What a dry run took: CPU and wall seconds, peak memory in MB."""

    jobs: int
    cpu: float
    wall: float
    peak: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plans: dict[str, tuple[Path, list[str]]] = {"default study": (REPOSITORY / "config/config.yaml", [])}
        for size, experiments in SIZES.items():
            plans[f"pruning, {size}"] = (write(folder / f"{experiments}.yaml", grid(experiments)), [])
        plans["24 recipes, 100 strategies, 3 seeds"] = (write(folder / "recipes.yaml", recipes()), [])
        one = ["--target-jobs", JOB, "--allowed-rules", "evaluate", "--force", "--mode", "remote"]
        plans[f"one job of {LARGEST}"] = (folder / f"{MOST}.yaml", one)
        taken: dict[str, list[Planned]] = {study: [] for study in plans}
        for _ in range(rounds):
            for study, (config, arguments) in plans.items():
                taken[study].append(plan(config, folder, arguments))
    from winnow.measure.machine import machine  # only now: a process begins with the peak memory of its parent

    here = machine()
    print(f"{here.processor}, {here.logical_cpus} logical CPUs, Python {here.python}", end=", ")
    print(f"snakemake {importlib.metadata.version('snakemake')}, n = {rounds}, load {load:.1f}")
    print(f"{'study':<36} {'jobs':>7} {'CPU s':>7} {'from':>7} {'to':>7} {'wall s':>7} {'peak MB':>8}")
    for study, runs in taken.items():
        cpu = [run.cpu for run in runs]
        spread = f"{median(cpu):7.1f} {min(cpu):7.1f} {max(cpu):7.1f} {median(run.wall for run in runs):7.1f}"
        print(f"{study:<36} {runs[0].jobs:>7} {spread} {max(run.peak for run in runs):8.0f}")


def write(path: Path, study: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(study))
    return path


def grid(experiments: int) -> dict[str, Any]:
    """So many experiments: 2 criteria x 100 ratios x seeds, each pruned, retrained, exported, evaluated, and timed."""
    return {
        "study": "grid",
        "seeds": list(range(experiments // (2 * len(RATIOS)))),
        "datasets": {"cifar10": {"source": "cifar10"}},
        "models": {"resnet20": {}},
        "quantization": {"methods": []},
        "pruning": {"criterion": ["l1", "random"], "ratio": RATIOS},
    }


def recipes() -> dict[str, Any]:
    """Each of 300 pruned and 3 dense networks quantized in 24 ways."""
    ways = {
        "method": "ptq",
        "observer": ["histogram", "minmax", "percentile", "entropy"],
        "weight_bits": [8, 6, 4],
        "weights": ["per_channel", "per_tensor"],
    }
    pruning = {"criterion": ["l1"], "ratio": RATIOS}
    return grid(600) | {"quantization": {"methods": [], "recipes": [ways], "apply_to": "all"}, "pruning": pruning}


def plan(config: Path, folder: Path, arguments: Sequence[str] = ()) -> Planned:
    """Return what a dry run of a study takes."""
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--profile", str(REPOSITORY / "profiles/local")]
    command += ["--configfile", str(config), "--directory", str(folder), *arguments]
    output, begin = folder / "output.txt", time.perf_counter()
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
    wall, text = time.perf_counter() - begin, output.read_text()
    total = re.search(r"^total +(\d+)$", text, flags=re.MULTILINE)
    if status or not total:
        sys.exit(text[-3000:])
    return Planned(int(total.group(1)), usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
