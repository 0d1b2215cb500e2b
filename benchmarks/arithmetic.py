"""Training steps of each built-in network in float32, in torch's bfloat16, and in Winnow's, on one core.

    .venv/bin/python benchmarks/arithmetic.py

The last result, taken by a draft of this script that ran one way after the other and told the second fastest of 5
steps: images a second of CPU time, batches of 32 images of 32 x 32 pixels, AMD EPYC with AVX512_BF16, torch 2.14.1,
beside other work:

    network               fp32   torch's bf16   Winnow's bf16
    mobilenet_v2           424            213             427
    mobilenet_v3_small     794            357             803
    efficientnet_b0        237            128             186
    shufflenet_v2_x1_0     615            323             718
    convnext_tiny           60             91             127

Winnow's leaves grouped convolutions in float32 on a CPU (winnow.train.arithmetic): the gradient of a depthwise
convolution in bfloat16 is what takes the time. All ways take turns, so that a slow spell of the machine falls on all.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.config.resolve import resolve
from winnow.config.settings import ModelSettings
from winnow.measure.machine import machine
from winnow.models.build import build_model
from winnow.models.outputs import logits_of
from winnow.study.task import Task
from winnow.train.arithmetic import autocast

CPU = torch.device("cpu")
WAYS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "fp32": partial(autocast, CPU, "fp32"),
    "torch's bf16": partial(torch.autocast, "cpu", torch.bfloat16),
    "Winnow's bf16": partial(autocast, CPU, "bf16"),
}
NETWORKS = ("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x1_0", "convnext_tiny")


def stepping(name: str, batch: int, size: int) -> Callable[[Callable[[], AbstractContextManager[object]]], float]:
    """Return what takes a training step of a network in some arithmetic, and returns its CPU seconds."""
    study = resolve({"study": "arithmetic", "datasets": {"digits": {"source": "digits"}}, "models": {name: {}}})
    model = build_model(ModelSettings.of(study.models[name]), Task.of((3, size, size), 10), seed=0)
    model = model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    images = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))

    def step(way: Callable[[], AbstractContextManager[object]]) -> float:
        begin = time.process_time()
        optimizer.zero_grad()
        with way():
            logits = logits_of(model(images))
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        return time.process_time() - begin

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="built-in networks (default: depthwise ones)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=32, help="pixels of a side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/arithmetic.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[float]]] = {}
    print(f"{'network':20}", *(f"{way:>15}" for way in WAYS))
    for name in options.networks:
        step, found[name] = stepping(name, options.batch, options.size), {way: [] for way in WAYS}
        for number in range(options.rounds + 1):  # the first round warms up
            for way in random.sample(list(WAYS), len(WAYS)):
                seconds = step(WAYS[way])
                if number:
                    found[name][way].append(options.batch / seconds)
        print(f"{name:20}", *(f"{median(found[name][way]):15.0f}" for way in WAYS), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": asdict(machine()), "images_per_second": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
