"""Ways of quantizing one trained network after training, side by side: top-1 and noise of the logits on test images.

    .venv/bin/python benchmarks/recipes.py results/data/<dataset>.safetensors \\
        results/<study>/<dataset>/<model>/seed0/dense/weights.safetensors --model resnet20

All recipes begin with the same weights and the same calibration images; scored is what ONNX Runtime computes from the
exported file. Without weights, the network is trained here for `--epochs`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.config.settings import PLAIN_NORMALIZATION, ModelSettings
from winnow.data.batches import Split, augment, epoch_order
from winnow.data.dataset import ImageDataset, load_dataset
from winnow.deploy.export import export_checked
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.overflow import saturating_layers
from winnow.measure import metrics
from winnow.measure.machine import machine
from winnow.models.build import build_model, load_model
from winnow.quantize.images import calibration_batches
from winnow.quantize.mixed import spare_layers
from winnow.quantize.sensitivity import measure_sensitivity
from winnow.quantize.static import quantize_static
from winnow.rng import generator
from winnow.study.recipe import Recipe

RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "minmax": {"observer": "minmax"},
    "percentile": {"observer": "percentile"},
    "entropy": {"observer": "entropy"},
    "per tensor": {"weights": "per_tensor"},
    "per tensor, equalization": {"weights": "per_tensor", "correction": "equalization"},
    "bias": {"correction": "bias"},
    "equalization": {"correction": "equalization"},
    "adaround": {"rounding": "adaround"},
    "safe": {"overflow": "safe"},
    "w6": {"weight_bits": 6},
    "w4": {"weight_bits": 4},
    "w4, bias": {"weight_bits": 4, "correction": "bias"},
    "w4, adaround": {"weight_bits": 4, "rounding": "adaround"},
    "w4, bias, adaround": {"weight_bits": 4, "correction": "bias", "rounding": "adaround"},
    "w3, adaround": {"weight_bits": 3, "rounding": "adaround"},
    "a6": {"activation_bits": 6},
    "a4": {"activation_bits": 4},
    "w4a4, bias, adaround": {
        "weight_bits": 4,
        "activation_bits": 4,
        "correction": "bias",
        "rounding": "adaround",
    },
}


def trained(settings: ModelSettings, data: ImageDataset, epochs: int) -> nn.Module:
    """Train a network for a few epochs: SGD with momentum, one cycle of the rate."""
    model, split = build_model(settings, data.task, seed=0).train(), Split.of(data, "train", torch.device("cpu"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = len(split) // 128
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=epochs * steps)
    for epoch in range(epochs):
        order = epoch_order(len(split), 0, epoch)
        for step in range(steps):
            index = order[step * 128 : (step + 1) * 128]
            random = generator(0, epoch, step)
            images = split.normalized(augment(split.images[index], padding=4, flip=True, random=random))
            optimizer.zero_grad()
            functional.cross_entropy(model(images), split.labels[index]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("weights", type=Path, nargs="?", help="weights.safetensors of a dense run")
    parser.add_argument("--model", default="resnet20", help="built-in network")
    parser.add_argument("--stem", default="cifar")
    parser.add_argument("--epochs", type=int, default=8, help="of training, without weights")
    parser.add_argument("--samples", type=int, default=1024, help="calibration images")
    parser.add_argument("--limit", type=float, default=0.01, help="of accuracy that mixed precision may lose")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/recipes.json"))
    options = parser.parse_args()
    data = load_dataset(options.data, PLAIN_NORMALIZATION)
    settings = ModelSettings(options.model, options.model, options.stem, "identity", None, {}, None)
    if options.weights:
        model = load_model(settings, data.task, options.weights)
    else:
        model = trained(settings, data, options.epochs)
    test = Split.of(data, "test", torch.device("cpu"))
    images = np.concatenate([part.contiguous().numpy() for part, _ in test.batches(250)])
    rows: dict[str, dict[str, float | int | None]] = {}

    def report(name: str, network: nn.Module, seconds: float, *, integer: bool, truth: np.ndarray | None) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export_checked(network, data, path, run=name, integer=integer)
            logits = load_onnxruntime(path, torch.get_num_threads())(images)
            saturating = len(saturating_layers(path))
        scores = metrics.classification(logits, test.labels.numpy())
        noise = None if truth is None else metrics.sqnr_db(truth, logits)
        rows[name] = {"top1": scores.top1, "loss": scores.loss, "sqnr_db": noise, "seconds": seconds}
        rows[name]["saturating"] = saturating
        sqnr = "" if noise is None else f"{noise:.1f}"
        print(f"| {name} | {100 * scores.top1:.2f} | {scores.loss:.4f} | {sqnr} | {saturating} | {seconds:.0f} |")
        return logits

    print("| recipe | top-1 % | loss | SQNR dB | layers that can saturate | seconds |", "|---" * 6 + "|", sep="\n")
    truth = report("fp32", model, 0.0, integer=False, truth=None)
    for name, axes in RECIPES.items():
        start = time.perf_counter()
        quantized = quantize_static(model, calibration_batches(data, options.samples), Recipe("ptq", **axes))
        report(name, quantized, time.perf_counter() - start, integer=True, truth=truth)
    recipe = Recipe("ptq", weight_bits=4)
    batches = list(Split.of(data, "validation", torch.device("cpu")).batches(250))
    start = time.perf_counter()
    found = measure_sensitivity(model, calibration_batches(data, options.samples), recipe, batches)
    print("w4, worst layers:", ", ".join(found.order[:5]), f"({time.perf_counter() - start:.0f} s)")
    calibration = calibration_batches(data, options.samples)
    mixed = spare_layers(model, calibration, recipe, found.order, batches, options.limit, "w4, mixed")
    print("w4, mixed:", ", ".join(f"{tried.in_float}: {100 * tried.setting.top1:.2f} %" for tried in mixed.curve))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": asdict(machine()), "recipes": rows, "order": found.order, "mixed": asdict(mixed)}
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
