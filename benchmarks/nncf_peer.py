"""Winnow's int8 against NNCF's, for the same network in the same runtime, in one alternating run.

    .venv/bin/python benchmarks/nncf_peer.py \\
        results/<study>/<dataset>/<model>/seed0/dense results/data/<dataset>.safetensors

NNCF quantizes the run's fp32 model.onnx for OpenVINO with as many calibration images as Winnow's ptq took from
the same training split. Each round times every file in random order, so that a slow spell of the machine falls
on all of them. NNCF is installed by `make test` (requirements-dev.txt).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path

import nncf
import numpy as np
import openvino
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.config.settings import NormalizationSettings
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset, load_dataset
from winnow.deploy.openvino_runtime import load as load_openvino
from winnow.deploy.runtimes import Network
from winnow.measure import metrics
from winnow.measure.machine import machine
from winnow.quantize.images import calibration_batches


def nncf_quantized(source: Path, data: ImageDataset, samples: int, target: Path) -> None:
    """Quantize with NNCF's defaults, one image at a time as its documentation does."""
    images = [image[None] for batch in calibration_batches(data, samples) for image in batch.numpy()]
    model = openvino.Core().read_model(source)
    quantized = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    openvino.save_model(quantized, target, compress_to_fp16=False)


def alternate(networks: dict[str, Network], images: np.ndarray, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return milliseconds per call of every network."""
    times: dict[str, list[float]] = {name: [] for name in networks}
    order = list(networks)
    for number in range(rounds + 1):  # the first round warms up
        random.shuffle(order)
        for name in order:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                networks[name](images)
                if number:
                    times[name].append((time.perf_counter() - start) * 1000)
    return times


def accuracy(network: Network, data: ImageDataset) -> float:
    split = Split.of(data, "test", torch.device("cpu"))
    logits = np.concatenate([network(images.contiguous().numpy()).copy() for images, _ in split.batches(250)])
    return metrics.classification(logits, split.labels.numpy()).top1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder with fp32/model.onnx and ptq/model.onnx")
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=1024, help="calibration images (Winnow's ptq default)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each file in each round")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/nncf_peer.json"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    data = load_dataset(options.data, NormalizationSettings(None, None, 1, "rgb", None))
    peer = options.out.parent / "nncf.xml"
    nncf_quantized(options.run / "fp32/model.onnx", data, options.samples, peer)
    files = {"fp32": options.run / "fp32/model.onnx", "NNCF int8": peer}
    files |= {f"Winnow {kind}": options.run / kind / "model.onnx" for kind in ("ptq", "qat")}
    networks = {name: load_openvino(path, options.threads) for name, path in files.items() if path.exists()}
    result = {"machine": asdict(machine()) | {"nncf": importlib.metadata.version("nncf")}, "threads": options.threads}
    result["top1"] = {name: accuracy(network, data) for name, network in networks.items()}
    header = "| batch | " + " | ".join(f"{name}, median (p95) ms" for name in networks) + " | calls each |"
    print(header, "|---" * (len(networks) + 2) + "|", sep="\n")
    for size in (1, 64):
        images = np.random.default_rng(0).standard_normal((size, *data.task.shape), dtype=np.float32)
        times = alternate(networks, images, options.rounds, options.seconds)
        result[f"batch {size}"] = {
            name: {"median_ms": float(np.median(t)), "p95_ms": float(np.quantile(t, 0.95)), "calls": len(t)}
            for name, t in times.items()
        }
        cells = [f"{np.median(t):.3f} ({np.quantile(t, 0.95):.3f})" for t in times.values()]
        print(f"| {size} | " + " | ".join(cells) + f" | {min(map(len, times.values()))}+ |")
    print("top-1:", ", ".join(f"{name} {value:.2%}" for name, value in result["top1"].items()))
    print(json.dumps(result["machine"]))
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
