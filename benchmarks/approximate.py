"""Approximate multipliers: how long their simulation takes beside the int8 network's own in torch, and what they cost.

    .venv/bin/python benchmarks/approximate.py data/cifar10-images.zip --retrain bam-2-2-0 bam-3-3-0 exact

Last result (2026-11-28, AMD EPYC with AVX-512 VNNI, 1 thread, on a machine that others used; torch 2.14.1, onnxruntime
1.32.0; resnet20, 9,000 training images, 4 epochs; 10 calls each of 64 images; top-1 of 1,000 test images, so about 1.5
points of standard error; int8 132 ms and 60.9 %; retrained: 2 epochs through the multiplier):

    multiplier  power  times int8  top-1 left  corrected  retrained (%)
    exact       1.000        1.36        60.7       60.7  63.2
    bam-0-0-2   0.993        2.16        60.5       61.3
    bam-0-0-3   0.965                    59.8       60.8
    bam-0-0-4   0.920        2.91        53.1       61.4
    bam-1-0-0   0.868                    60.5       60.5
    bam-1-0-3   0.854                    59.7       60.3
    bam-1-0-4   0.826                    55.7       60.3
    bam-1-1-0   0.708        1.37        44.6       59.2
    bam-2-0-5   0.680        2.59        40.5       58.2
    bam-3-0-0   0.558                    54.1       51.1
    bam-2-2-0   0.471                    19.2       53.0  63.1
    bam-3-3-0   0.296                    11.3       32.6  62.0
    bam-6-0-0   0.122                    11.1       10.3
    drum-3                               12.1       34.3
    drum-4                   1.34        25.3       43.3
    drum-5                               41.7       51.7
    drum-6                               54.0       57.1
    roba                     1.81        60.8       60.6
    mitchell                 9.48        56.7       58.5

Trains a resnet20 for a few epochs on part of CIFAR-10 (class folders or an archive of them), quantizes it with
calibration images, and times and scores it with every circuit: with the mean error of each channel left in and taken
out, and trained through some of them. Each round times every network once, in random order, so that a slow spell of
the machine falls on all of them. What was prepared and trained is kept in the folder of `--out`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.approximate.aware import ApproximateTraining
from winnow.approximate.circuit import Circuit
from winnow.approximate.circuit_error import circuit_error
from winnow.approximate.circuits import circuit
from winnow.approximate.correction import correct
from winnow.approximate.network import approximate
from winnow.approximate.operands import network_pairs, operands
from winnow.config.settings import DatasetSettings, ModelSettings, QatSettings, TrainingSettings
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset, load_dataset, save_dataset
from winnow.data.prepare import prepare
from winnow.measure.machine import machine
from winnow.models.build import build_model, load_model
from winnow.models.weights import save_weights
from winnow.quantize.static import calibration_batches, quantize_static
from winnow.study.multipliers import PUBLISHED, multiplier
from winnow.study.recipe import Recipe
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

CIRCUITS = ("exact", *PUBLISHED, "drum-3", "drum-4", "drum-5", "drum-6", "roba", "mitchell")
TIMED = ("exact", "bam-1-1-0", "roba", "bam-0-0-2", "bam-2-0-5", "bam-0-0-4", "drum-4", "mitchell")
CALIBRATION, BATCH = 256, 100
MODEL = ModelSettings("resnet20", "resnet20", "imagenet", "identity", None, {})


def dataset(images: str, folder: Path, samples: int, tests: int) -> ImageDataset:
    """Return a part of the images, decoded once."""
    path = folder / f"cifar10-{samples}-{tests}.safetensors"
    if not path.exists():
        source = DatasetSettings("cifar10", "image_folder", images, 32, 3, "white", 0.1, 0, samples, tests)
        save_dataset(path, prepare(source), "")
    return load_dataset(path)


def settings(epochs: int, rate: float) -> TrainingSettings:
    return TrainingSettings(
        epochs=epochs,
        batch_size=128,
        optimizer="sgd",
        lr=rate,
        head_lr=None,
        freeze=(),
        momentum=0.9,
        weight_decay=5e-4,
        decay_norm_and_bias=False,
        schedule="one_cycle",
        warmup_epochs=1,
        milestones=(),
        gamma=0.1,
        label_smoothing=0.0,
        crop_padding=2,
        flip=True,
        precision="auto",
        compile=False,
        device="cpu",
        rewind_epochs=(),
    )


def run(trainee: Trainee, data: ImageDataset, path: Path, how: TrainingSettings) -> None:
    resume = ResumeFile(path.with_suffix(".resume"), str(how.epochs))
    train(trainee, data, how, Job(path.stem, 0, resume, path.with_suffix(".csv"), {}, 65.0))


def trained(data: ImageDataset, folder: Path, epochs: int) -> torch.nn.Module:
    """Return a network trained for some epochs; a second call reads it."""
    path = folder / f"resnet20-{len(data.train_index)}-{epochs}.safetensors"
    if not path.exists():
        model = build_model(MODEL, data.task, seed=0)
        run(Trainee(model), data, path, settings(epochs, 0.1))
        save_weights(path, model)
    return load_model(MODEL, data.task, path)


def retrained(model: torch.nn.Module, data: ImageDataset, folder: Path, name: str, epochs: int) -> GraphModule:
    """Train the network through a circuit."""
    how, made = settings(epochs, 0.02), everywhere(name)
    qat = QatSettings(freeze_observers_epoch=epochs, freeze_batchnorm_epoch=epochs + 1, training=how)
    aware = ApproximateTraining(model, next(calibration_batches(data, 64)), qat, Recipe("qat"), lambda _: made)
    run(aware.trainee, data, folder / f"{name}-{epochs}", how)
    return aware.convert()


def everywhere(name: str) -> Circuit:
    return circuit(multiplier(name))


def with_circuit(int8: GraphModule, name: str) -> GraphModule:
    made = everywhere(name)
    return approximate(int8, lambda _: made)


@torch.no_grad()
def alternate(networks: dict[str, GraphModule], images: Tensor, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds per call of every network; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in networks}
    order = list(networks)
    for number in range(rounds + 1):
        random.shuffle(order)
        for name in order:
            start = time.perf_counter()
            networks[name](images)
            if number:
                times[name].append((time.perf_counter() - start) * 1000)
    return times


@torch.no_grad()
def logits(network: GraphModule, split: Split) -> Tensor:
    return torch.cat([network(images.contiguous()) for images, _ in split.batches(BATCH)])


def timing(int8: GraphModule, images: Tensor, rounds: int) -> dict[str, dict[str, float]]:
    """Time the simulation, print a table, and return its numbers."""
    networks = {"int8": int8} | {name: with_circuit(int8, name) for name in TIMED}
    print(f"\n| multiplier | terms | median (p95) ms, {len(images)} images | times int8 |\n|---|---|---|---|")
    found = {}
    for name, times in alternate(networks, images, rounds).items():
        median, late = (float(np.quantile(times, share)) for share in (0.5, 0.95))
        found[name] = {"median_ms": median, "p95_ms": late, "calls": len(times)}
        terms = None if name == "int8" else everywhere(name).terms
        count = len(terms.left) if terms else "" if name == "int8" else "table"
        print(f"| {name} | {count} | {median:.1f} ({late:.1f}) | {median / found['int8']['median_ms']:.2f} |")
    return found


def accuracy(int8: GraphModule, data: ImageDataset) -> dict[str, dict[str, float | None]]:
    """Score every circuit, print a table line by line, and return its numbers."""
    batches = [batch.contiguous() for batch in calibration_batches(data, CALIBRATION)]
    test = Split.of(data, "test", torch.device("cpu"))
    reference = logits(int8, test).argmax(1)
    pairs = network_pairs(operands(with_circuit(int8, "exact"), batches))
    print(f"\nint8: top-1 {100 * (reference == test.labels).double().mean().item():.1f} %\n")
    print("| multiplier | power | MRE (%) | error here | bias here | top-1 left (%) | corrected (%) | as int8 (%) |")
    print("|---" * 8 + "|")
    found = {}
    for name in CIRCUITS:
        overall, here = circuit_error(everywhere(name)), circuit_error(everywhere(name), pairs)
        network = with_circuit(int8, name)
        left = logits(network, test).argmax(1)
        correct(network, batches)
        corrected = logits(network, test).argmax(1)
        cost = multiplier(name).cost
        shares = [100 * (a == b).double().mean().item() for a, b in ((left, test.labels), (corrected, test.labels))]
        shares.append(100 * (corrected == reference).double().mean().item())
        found[name] = dict(zip(("left", "corrected", "as_int8"), shares, strict=True))
        found[name] |= {"power": cost.power if cost else None, "mre": overall.mean_relative, "bias": here.bias}
        cells = [name, f"{cost.power:.3f}" if cost else "", f"{100 * overall.mean_relative:.2f}"]
        cells += [f"{here.mean:.1f}", f"{here.bias:+.1f}", *(f"{share:.1f}" for share in shares)]
        print(f"| {' | '.join(cells)} |", flush=True)
    return found


def retraining(
    model: torch.nn.Module, data: ImageDataset, folder: Path, names: list[str], epochs: int
) -> dict[str, float]:
    """Train through some circuits, print a table line by line, and return top-1 in percent."""
    test = Split.of(data, "test", torch.device("cpu"))
    print(f"\n| multiplier | top-1 after {epochs} epochs through it (%) | seconds |\n|---|---|---|")
    found = {}
    for name in names:
        start = time.perf_counter()
        network = retrained(model, data, folder, name, epochs)
        seconds = time.perf_counter() - start
        found[name] = 100 * (logits(network, test).argmax(1) == test.labels).double().mean().item()
        print(f"| {name} | {found[name]:.1f} | {seconds:.0f} |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="CIFAR-10 as class folders: a directory or an archive")
    parser.add_argument("--samples", type=int, default=10000, help="training images (default: %(default)s)")
    parser.add_argument("--tests", type=int, default=1000, help="test images (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of training (default: %(default)s)")
    parser.add_argument("--retrain", nargs="*", default=[], help="circuits to train through as well")
    parser.add_argument("--retrain-epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10, help="calls of each network that are timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/approximate"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    data = dataset(options.images, options.out, options.samples, options.tests)
    start = time.perf_counter()
    model = trained(data, options.out, options.epochs)
    print(f"trained in {time.perf_counter() - start:.0f} s", flush=True)
    int8 = quantize_static(model, calibration_batches(data, CALIBRATION), Recipe("ptq"))
    images = next(calibration_batches(data, 64))
    result = {"machine": asdict(machine()), "threads": options.threads}
    result["timing"] = timing(int8, images, options.rounds)
    result["accuracy"] = accuracy(int8, data)
    result["retrained"] = retraining(model, data, options.out, options.retrain, options.retrain_epochs)
    (options.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["machine"]))


if __name__ == "__main__":
    main()
