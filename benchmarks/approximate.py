"""Approximate multipliers: how long their simulation takes beside the int8 network's own in torch, and what they cost.

    .venv/bin/python benchmarks/approximate.py data/cifar10-images.zip --drop 30 --retrain exact auto-30 "5 x 5 bits"

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

With `--samples 20000 --tests 4000 --epochs 8 --rounds 0 --drop 30 --retrain-epochs 1 --retrain-every 2` and `--retrain`
of every row but mitchell (same day, 1 thread on a machine that others used): docs/multipliers.md. `auto` was found in
118 s, 8 assignments tried; retraining a row took 66 s with exact multipliers of fewer bits, 101 s and more with others.

Trains a resnet20 for a few epochs on part of CIFAR-10 (class folders or an archive of them), quantizes it with
calibration images, and times and scores it with every circuit: with the mean error of each channel left in and taken
out, and trained through those that are named; exact multipliers of fewer bits are rows of the same table. Each round
times every network once, in random order, so that a slow spell of the machine falls on all of them. What was prepared,
trained and scored is kept in the folder of `--out`: a row that is there is not made again, so that a long table may be
made in parts.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.approximate.assignment import assign
from winnow.approximate.circuit import Circuit
from winnow.approximate.circuit_error import circuit_error
from winnow.approximate.circuits import circuit
from winnow.approximate.correction import correct
from winnow.approximate.multipliers import Multipliers
from winnow.approximate.network import approximate
from winnow.approximate.operands import network_pairs, operands
from winnow.approximate.training import aware_training
from winnow.config.resolve import resolve
from winnow.config.settings import (
    DatasetSettings,
    ModelSettings,
    NormalizationSettings,
    QatSettings,
    TrainingSettings,
)
from winnow.config.study import Study
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset, load_dataset
from winnow.data.prepare import prepare
from winnow.measure.machine import machine
from winnow.models.build import build_model, load_model
from winnow.models.weights import save_weights
from winnow.quantize.images import calibration_batches, validation_batches
from winnow.quantize.sensitivity import Scorer
from winnow.quantize.static import quantize_static
from winnow.study.assignment import Assignment
from winnow.study.multiplier_cost import exact_cost
from winnow.study.multipliers import PUBLISHED, multiplier
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import AUTO, CANDIDATES
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

CIRCUITS = ("exact", *PUBLISHED, "drum-3", "drum-4", "drum-5", "drum-6", "roba", "mitchell")
TIMED = ("exact", "bam-1-1-0", "roba", "bam-0-0-2", "bam-2-0-5", "bam-0-0-4", "drum-4", "mitchell")
CALIBRATION, BATCH = 256, 100
LOW_BITS = (7, 6, 5, 4)
NAME, NETWORK = "cifar10", "resnet20"


def study_of(options: argparse.Namespace) -> Study:
    """Return what is to be trained and quantized, as a configuration of the workflow says it."""
    images = {"source": "image_folder", "path": options.images, "image_size": 32, "channels": 3}
    images |= {"max_train_samples": options.samples, "max_test_samples": options.tests}
    retraining = {"epochs": options.retrain_epochs, "lr": 0.02, "schedule": "cosine"}
    return resolve(
        {
            "study": "approximate",
            "datasets": {NAME: images},
            "models": {NETWORK: {}},
            "training": {"epochs": options.epochs, "lr": 0.1, "warmup_epochs": 1, "device": "cpu"},
            "quantization": {"methods": ["qat"], "ptq": {"calibration_samples": CALIBRATION}, "qat": retraining},
        }
    )


def dataset(study: Study, folder: Path) -> ImageDataset:
    """Return the images, decoded once."""
    settings, definition = DatasetSettings.of(study.datasets[NAME]), study.definitions[NAME]
    path = folder / f"{definition}.safetensors"
    if not path.exists():
        prepare(settings, path, definition, key=definition, threads=1)
    return load_dataset(path, NormalizationSettings.of(study.normalization[NAME][NETWORK]))


def run(trainee: Trainee, data: ImageDataset, path: Path, how: TrainingSettings) -> None:
    resume = ResumeFile(path.with_suffix(".resume"), str(how.epochs))
    train(trainee, data, how, Job(path.stem, 0, resume, path.with_suffix(".csv"), {}, 65.0))


def trained(study: Study, data: ImageDataset, folder: Path) -> torch.nn.Module:
    """Return a network trained for some epochs; a second call reads it."""
    settings, how = ModelSettings.of(study.models[NETWORK]), TrainingSettings.of(study.training[NETWORK])
    path = folder / f"{NETWORK}-{len(data.train_index)}-{how.epochs}.safetensors"
    if not path.exists():
        model = build_model(settings, data.task, seed=0)
        run(Trainee(model), data, path, how)
        save_weights(path, model)
    return load_model(settings, data.task, path)


def retrained(study: Study, model: torch.nn.Module, data: ImageDataset, path: Path, row: Row) -> GraphModule:
    """Train the network through what it multiplies with."""
    how = QatSettings.of(study.qat[NETWORK])
    example = next(calibration_batches(data, 64))
    aware = aware_training(model, example, how, row.recipe, None, row.multipliers)
    run(aware.trainee, data, path, how.training)
    return aware.convert()


def everywhere(name: str) -> Circuit:
    return circuit(multiplier(name))


def whole(name: str) -> Multipliers:
    found = multiplier(name)
    return Multipliers(lambda _: found)


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


@dataclass(frozen=True)
class Row:
    """One way of multiplying: with circuits, or exactly with fewer bits.

    Attributes:
        multipliers: None for exact ones of the recipe's bits.
        power: of its multiplications; None where nobody has published it.
        circuit: the one of all layers, if there is one.
    """

    recipe: Recipe
    multipliers: Multipliers | None
    power: float | None
    circuit: str | None = None


def rows_of(assigned: dict[str, Assignment]) -> dict[str, Row]:
    """Return all rows of the table by name."""
    found = {
        f"{bits} x {bits} bits": Row(
            Recipe("qat", weight_bits=bits, activation_bits=bits), None, exact_cost(bits, bits).power
        )
        for bits in LOW_BITS
    }
    for name in CIRCUITS:
        cost = multiplier(name).cost
        found[name] = Row(Recipe("qat", multiplier=name), whole(name), cost.power if cost else None, name)
    for name, one in assigned.items():
        found[name] = Row(Recipe("qat", multiplier=AUTO), Multipliers.assigned(one.by_layer), one.cost.power)
    return found


def calibrated(row: Row, model: torch.nn.Module, int8: GraphModule, data: ImageDataset) -> dict[str, float | None]:
    """Return top-1 in percent without training, the mean errors of circuits left in and taken out."""
    batches = [batch.contiguous() for batch in calibration_batches(data, CALIBRATION)]
    if row.multipliers is None:
        recipe = replace(row.recipe, method="ptq")
        return {"left": top1(quantize_static(model, batches, recipe), data), "corrected": None}
    network = approximate(int8, row.multipliers.circuit)
    left = top1(network, data)
    correct(network, batches)
    return {"left": left, "corrected": top1(network, data)}


def errors(pairs: np.ndarray, name: str | None) -> dict[str, float]:
    """Return the error of a circuit over all pairs of operands and over those of the network."""
    if name is None:
        return {}
    overall, here = circuit_error(everywhere(name)), circuit_error(everywhere(name), pairs)
    return {"mre": 100 * overall.mean_relative, "mean_here": here.mean, "bias_here": here.bias}


def top1(network: GraphModule, data: ImageDataset) -> float:
    """Return test accuracy in percent."""
    test = Split.of(data, "test", torch.device("cpu"))
    return 100 * (logits(network, test).argmax(1) == test.labels).double().mean().item()


def table(
    study: Study,
    model: torch.nn.Module,
    int8: GraphModule,
    data: ImageDataset,
    rows: dict[str, Row],
    retrain: Sequence[str],
    folder: Path,
) -> None:
    """Fill the rows that `folder` has no file of yet, those to be retrained first, in their order."""
    pairs = network_pairs(operands(with_circuit(int8, "exact"), list(calibration_batches(data, BATCH))))
    for name in [*(name for name in retrain if name in rows), *(name for name in rows if name not in retrain)]:
        path = folder / f"{name.replace(' ', '')}.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        if name in retrain and "retrained" not in found:
            start = time.perf_counter()
            network = retrained(study, model, data, path.with_suffix(""), rows[name])
            found |= {"retrained": top1(network, data), "seconds": time.perf_counter() - start}
        if "left" not in found:
            found |= calibrated(rows[name], model, int8, data) | errors(pairs, rows[name].circuit)
        path.write_text(json.dumps(found | {"power": rows[name].power}) + "\n")
        print(f"{name}: {found}", flush=True)


def show(rows: dict[str, Row], folder: Path) -> dict[str, dict[str, float]]:
    """Print the table, by falling power and then what has none, and return its numbers."""
    found = {name: json.loads((folder / f"{name.replace(' ', '')}.json").read_text()) for name in rows}
    print("\n| multiplier | power (%) | MRE (%) | error here | bias here | left (%) | corrected (%) | retrained (%) |")
    print("|---" * 8 + "|")
    for name in sorted(found, key=lambda name: -(found[name]["power"] or 0.0)):
        one = found[name]
        power = "" if one["power"] is None else f"{100 * one['power']:.1f}"
        numbers = [one.get(key) for key in ("mre", "mean_here", "bias_here", "left", "corrected", "retrained")]
        print(f"| {' | '.join([name, power, *('' if n is None else f'{n:.1f}' for n in numbers)])} |")
    return found


def assignment(model: torch.nn.Module, int8: GraphModule, data: ImageDataset, drop: float) -> Assignment:
    """Give each layer the cheapest multiplier with which validation accuracy drops by no more points, and print it."""
    recipe = Recipe("ptq", multiplier=AUTO)
    images, validation = list(calibration_batches(data, CALIBRATION)), validation_batches(data)
    start = time.perf_counter()
    scorer, candidates = Scorer(model, validation), [multiplier(name) for name in CANDIDATES]
    found = assign(int8, images, validation, scorer, candidates, recipe, drop / 100, NETWORK)
    seconds = time.perf_counter() - start
    print(f"\nauto, at most {drop:g} points: {100 * found.cost.power:.1f} % of the power")
    print(f"found in {seconds:.0f} s, {len(found.curve)} assignments tried:")
    print(", ".join(f"{layer.layer} {layer.multiplier}" for layer in found.layers), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="CIFAR-10 as class folders: a directory or an archive")
    parser.add_argument("--samples", type=int, default=10000, help="training images (default: %(default)s)")
    parser.add_argument("--tests", type=int, default=1000, help="test images (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of training (default: %(default)s)")
    parser.add_argument("--drop", type=float, nargs="*", default=[], help="points that `auto` may lose")
    parser.add_argument("--retrain", nargs="*", default=[], help="rows to train through as well, in this order")
    parser.add_argument("--retrain-epochs", type=int, default=2)
    parser.add_argument("--retrain-every", type=int, default=1, help="retrain on one of so many images")
    parser.add_argument("--rounds", type=int, default=10, help="calls of each network that are timed; 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/approximate"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    study = study_of(options)
    data = dataset(study, options.out)
    start = time.perf_counter()
    model = trained(study, data, options.out)
    print(f"trained in {time.perf_counter() - start:.0f} s", flush=True)
    int8 = quantize_static(model, calibration_batches(data, CALIBRATION), Recipe("ptq"))
    result = {"machine": asdict(machine()), "threads": options.threads}
    if options.rounds:
        result["timing"] = timing(int8, next(calibration_batches(data, 64)), options.rounds)
    assigned = {}
    for drop in options.drop:
        path = options.out / f"auto-{drop:g}.multipliers.json"
        if not path.exists():
            assignment(model, int8, data, drop).write(path)
        assigned[f"auto-{drop:g}"] = Assignment.read(path)
    result["assigned"] = {name: asdict(one) for name, one in assigned.items()}
    rows = rows_of(assigned)
    few = replace(data, train_index=data.train_index[:: options.retrain_every])
    table(study, model, int8, few, rows, options.retrain, options.out)
    result["table"] = show(rows, options.out)
    (options.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["machine"]))


if __name__ == "__main__":
    main()
