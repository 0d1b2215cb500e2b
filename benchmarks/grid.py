"""Many training runs of one network on one machine: side by side with a thread each, or one after another with all.

    .venv/bin/python benchmarks/grid.py results/data/<dataset>.safetensors --models lenet5 resnet20 resnet18

A grid of pruning strategies trains the same network again and again. Timed is one epoch of Winnow's own `train` in
each of k processes, k from 1 to the number of cores, with as many threads as are then left for each; a ways' images per
second are those of all its processes together, from the first start to the last end. Each round runs every way once, in
random order, and an epoch before it warms up. With `--device cuda`, k processes share the GPU.

The last result: images a second, median (least to most) of 5, AMD EPYC, 2 logical CPUs, torch 2.14.1, bf16, nothing
else computing: resnet20 827 (798 to 910) with two threads, 947 (937 to 959) side by side; resnet18 733 (599 to 878),
973 (959 to 1002).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.config.resolve import resolve
from winnow.config.settings import PLAIN_NORMALIZATION, ModelSettings, TrainingSettings
from winnow.data.dataset import load_dataset
from winnow.measure.machine import machine
from winnow.models.build import build_model
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile


def settings_of(model: str, device: str) -> tuple[ModelSettings, TrainingSettings]:
    """Return a network and its training, one epoch, as a configuration of the workflow says it."""
    study = resolve(
        {
            "study": "grid",
            "datasets": {"digits": {"source": "digits"}},
            "models": {model: {}},
            "training": {"epochs": 1, "batch_size": 128, "lr": 0.001, "warmup_epochs": 0, "device": device},
        }
    )
    return ModelSettings.of(study.models[model]), TrainingSettings.of(study.training[model])


def worker(data_path: Path, model: str, device: str, images: int, threads: int, begin: Barrier, end: Barrier) -> None:
    """Train for an epoch to warm up, wait for the others, and train for another."""
    torch.set_num_threads(threads)
    settings, how = settings_of(model, device)
    data = load_dataset(data_path, PLAIN_NORMALIZATION).few(images, 100, 0)
    network = build_model(settings, data.task, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2):
            if number:
                begin.wait()
            resume = ResumeFile(Path(folder) / f"{number}.resume", "benchmark")
            job = Job("benchmark", 0, resume, Path(folder) / "history.csv", {}, 65.0)
            train(Trainee(network), data, how, job)
    end.wait()


def rate(options: argparse.Namespace, model: str, count: int, threads: int) -> float:
    """Return the images per second of so many processes together."""
    context = multiprocessing.get_context("spawn")
    begin, end = (context.Barrier(count + 1, timeout=600) for _ in range(2))
    given = (options.data, model, options.device, options.images, threads, begin, end)
    processes = [context.Process(target=worker, args=given) for _ in range(count)]
    for process in processes:
        process.start()
    begin.wait()
    start = time.perf_counter()
    end.wait()
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    images: int = options.images
    return count * images / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--models", nargs="+", default=["resnet20", "resnet18"], help="built-in networks")
    parser.add_argument("--side-by-side", nargs="*", type=int, help="runs at a time (default: 1, 2, 4, ... cores)")
    parser.add_argument("--images", type=int, default=2560, help="of an epoch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/grid.json"))
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    counts = options.side_by_side or [2**power for power in range(cores.bit_length()) if 2**power <= cores]
    found: dict[str, dict[int, list[float]]] = {model: {count: [] for count in counts} for model in options.models}
    for _ in range(options.rounds):
        for model in options.models:
            for count in random.sample(counts, len(counts)):
                found[model][count].append(rate(options, model, count, max(1, cores // count)))
    print("| network | runs side by side | threads each | images/s of all, median (least to most) | n |")
    print("|---" * 5 + "|")
    for model, by_count in found.items():
        for count, rates in by_count.items():
            cells = f"{median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) | {len(rates)}"
            print(f"| {model} | {count} | {max(1, cores // count)} | {cells} |")
    result = {"machine": asdict(machine()), "device": options.device, "images_per_second": found}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["machine"]))


if __name__ == "__main__":
    main()
