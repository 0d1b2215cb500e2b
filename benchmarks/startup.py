"""How long each script takes until it is ready to work: the interpreter, and everything that it imports.

    .venv/bin/python benchmarks/startup.py --rounds 5

The last result: median CPU seconds of 3 and the ratio to the libraries, AMD EPYC, 2 logical CPUs, Python 3.11.7,
torch 2.14.1, nothing else computing. What `evaluate` has beyond its libraries is onnx and pydantic.

    numpy, ONNX Runtime, OpenVINO 0.41: evaluate 0.59 1.43, benchmark 0.61 1.50, quantize_dynamic 0.40 0.98
    torch 1.94: train 2.16 1.12, retrain 2.13 1.10, tune 2.12 1.09, prune 2.18 1.12, export 2.21 1.14,
        import_network 2.12 1.09, calibrate 2.23 1.15, train_quantized 2.34 1.21
    pandas 0.49: collect 0.54 1.10, make_quantization_table 0.59 1.21, make_pruning_table 0.51 1.04,
        recommend 0.55 1.12, ship 0.68 1.39, make_overview 0.70 1.43

All take turns, so that a slow spell of the machine falls on all of them. A script is held against the libraries that
its work needs: numpy, ONNX Runtime and OpenVINO for what measures, torch for what trains. Read the CPU seconds where
other programs share the machine: importing runs on one core, so on a quiet one the wall time is about the same.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from winnow.measure.machine import machine
from winnow.study.vocabulary import RUNTIMES, SCORED

REFERENCES = {
    "numpy, ONNX Runtime, OpenVINO": "import numpy, onnxruntime, openvino",
    "torch": "import torch",
    "pandas": "import pandas",
}
MEASURE, TRAIN, TABLE = REFERENCES
HELD_AGAINST = {
    MEASURE: ("evaluate", "benchmark", "quantize_dynamic"),
    TRAIN: ("train", "retrain", "tune", "prune", "export", "import_network", "calibrate", "train_quantized"),
    TABLE: ("collect", "make_quantization_table", "make_pruning_table", "recommend", "ship", "make_overview"),
}
BY_NAME = [RUNTIMES[name].module for name in SCORED]  # loaded while a file is scored or timed
USES_RUNTIMES = ("evaluate", "benchmark")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time from the start of each script until it is ready to work.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    programs = REFERENCES | {script: imports(script) for scripts in HELD_AGAINST.values() for script in scripts}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for turn in range(-1, rounds):
        for name, program in programs.items():
            seconds = start(program)
            if turn >= 0:  # the first fills the caches
                taken[name].append(seconds)
    cpu = {name: statistics.median(spent for spent, _ in seconds) for name, seconds in taken.items()}
    here, torch = machine(), importlib.metadata.version("torch")
    print(f"{here.processor}, {here.logical_cpus} logical CPUs, Python {platform.python_version()}, torch {torch}")
    print(f"n = {rounds}, load {os.getloadavg()[0]:.1f}")
    print(f"{'':<30} {'CPU s':>6} {'from':>6} {'to':>6} {'wall s':>7} {'ratio':>6}")
    for reference, scripts in HELD_AGAINST.items():
        for name in (reference, *scripts):
            spent = [seconds for seconds, _ in taken[name]]
            wall = statistics.median(seconds for _, seconds in taken[name])
            figures = f"{cpu[name]:6.2f} {min(spent):6.2f} {max(spent):6.2f} {wall:7.2f}"
            print(f"{name:<30} {figures} {cpu[name] / cpu[reference]:6.2f}")


def imports(script: str) -> str:
    """Return a program that imports what a script does, and what it loads by name in any case."""
    nodes = ast.parse((SCRIPTS / f"{script}.py").read_text()).body
    lines = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    named = [f"import {module}" for module in BY_NAME if script in USES_RUNTIMES]
    return "\n".join(["import sys", f"sys.path.insert(0, {str(SCRIPTS)!r})", *lines, *named])


def start(program: str) -> tuple[float, float]:
    """Run a program in an interpreter of its own; return its CPU and wall seconds."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status:
        sys.exit(f"this does not run:\n{program}")
    return usage.ru_utime + usage.ru_stime, wall


if __name__ == "__main__":
    main()
