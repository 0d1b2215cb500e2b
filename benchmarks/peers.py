"""Winnow's int8 files against those of NNCF and of ONNX Runtime, from the same weights, in one alternating run.

    .venv/bin/python benchmarks/peers.py \\
        results/<study>/<dataset>/<model>/seed0/dense results/data/<dataset>.safetensors

The peers quantize the run's fp32/model.onnx with as many calibration images as Winnow's ptq took, and the same ones:
NNCF as its documentation does it for OpenVINO, and with accuracy control on the validation images; ONNX Runtime's
static quantization as it is, and by channel. Accuracy is that of the test images, in each runtime that runs the file.
Each round times every file in random order, so that a slow spell of the machine falls on all of them. NNCF is installed
by `make test` (requirements-dev.txt).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import nncf
import numpy as np
import openvino
import torch
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.config.settings import PLAIN_NORMALIZATION
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset, load_dataset
from winnow.deploy import onnx_runtime, openvino_runtime
from winnow.deploy.runtimes import Network
from winnow.measure import metrics
from winnow.measure.machine import machine
from winnow.quantize.images import calibration_batches, validation_batches

RUNTIMES = {"ONNX Runtime": onnx_runtime, "OpenVINO": openvino_runtime}
BATCHES = (1, 64)


class Reader(CalibrationDataReader):  # type: ignore[misc]  # has no types
    """Hands images, float32 [1, C, H, W], to ONNX Runtime."""

    def __init__(self, images: Iterable[np.ndarray], name: str) -> None:
        self._images, self._name = iter(images), name

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {self._name: image}


def one_by_one(batches: Iterable[torch.Tensor]) -> list[np.ndarray]:
    return [image[None] for batch in batches for image in batch.numpy()]


def peers(source: Path, data: ImageDataset, samples: int, limit: float, folder: Path) -> Iterator[tuple[str, Path]]:
    """Quantize a file by each peer, and yield its name with the file it wrote."""
    images = one_by_one(calibration_batches(data, samples))
    calibration, target = nncf.Dataset(images), folder / "nncf.xml"
    if not target.exists():
        model = openvino.Core().read_model(source)
        quantized = nncf.quantize(model, calibration, subset_size=samples)
        openvino.save_model(quantized, target, compress_to_fp16=False)
    yield "NNCF", target

    target = folder / "nncf-controlled.xml"
    if not target.exists():
        openvino.save_model(controlled(source, data, calibration, samples, limit), target, compress_to_fp16=False)
    yield "NNCF, accuracy control", target

    prepared = folder / "prepared.onnx"
    quant_pre_process(str(source), str(prepared))
    name = load_name(source)
    for label, per_channel in {"ONNX Runtime": False, "ONNX Runtime, by channel": True}.items():
        target = folder / f"onnxruntime-{per_channel}.onnx"
        if not target.exists():
            quantize_static(str(prepared), str(target), Reader(images, name), per_channel=per_channel)
        yield label, target


def controlled(
    source: Path, data: ImageDataset, calibration: nncf.Dataset, samples: int, limit: float
) -> openvino.Model:
    """Quantize by NNCF with accuracy control: layers go back to float until validation images are within the limit."""
    labelled = [(some.numpy(), labels.numpy()) for some, labels in validation_batches(data)]

    def validate(
        network: openvino.CompiledModel, batches: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[float, None]:
        right = [network(some)[0].argmax(1) == labels for some, labels in batches]
        return float(np.concatenate(right).mean()), None

    return nncf.quantize_with_accuracy_control(
        openvino.Core().read_model(source),
        calibration,
        nncf.Dataset(labelled),
        validate,
        max_drop=limit,
        subset_size=samples,
    )


def load_name(path: Path) -> str:
    return str(openvino.Core().read_model(path).input(0).any_name)


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
    """Return top-1 of the test images in percent."""
    split = Split.of(data, "test", torch.device("cpu"))
    logits = np.concatenate([network(images.contiguous().numpy()).copy() for images, _ in split.batches(250)])
    return 100 * metrics.classification(logits, split.labels.numpy()).top1


def megabytes(path: Path) -> float:
    """Return the size of a file, with the weights beside it that OpenVINO keeps apart."""
    return sum(part.stat().st_size for part in (path, path.with_suffix(".bin")) if part.exists()) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a network with fp32/model.onnx and others")
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--recipes", nargs="*", help="folders of Winnow's files (default: all)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=1024, help="calibration images (Winnow's ptq default)")
    parser.add_argument("--limit", type=float, default=0.01, help="of accuracy that NNCF's control may lose")
    parser.add_argument("--rounds", type=int, default=20, help="0 for no timing")
    parser.add_argument("--unscored", action="store_true", help="only time the files")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each file in each round")
    parser.add_argument("--files", type=Path, help="folder of the peers' files: what is there is not made again")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/peers.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = load_dataset(options.data, PLAIN_NORMALIZATION)
    recipes = options.recipes or sorted(path.parent.name for path in options.run.glob("*/model.onnx"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.files or Path(temporary)) / f"{options.samples}-images"
        folder.mkdir(parents=True, exist_ok=True)
        source = options.run / "fp32/model.onnx"
        files = {f"Winnow {recipe}": options.run / recipe / "model.onnx" for recipe in recipes}
        files |= dict(peers(source, data, options.samples, options.limit, folder))
        found = measured(files, data, options.threads, options.rounds, options.seconds, scored=not options.unscored)
    used = asdict(machine()) | {"nncf": importlib.metadata.version("nncf")}
    result = {"machine": used, "threads": options.threads, "files": found}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(used))


def measured(
    files: dict[str, Path], data: ImageDataset, threads: int, rounds: int, seconds: float, *, scored: bool
) -> dict[str, dict[str, float]]:
    """Score and time each file in each runtime that runs it, print a table, and return its numbers."""
    found: dict[str, dict[str, float]] = {name: {"size_mb": megabytes(path)} for name, path in files.items()}
    for runtime, module in RUNTIMES.items():
        networks = {}
        for name, path in files.items():
            if path.suffix == ".xml" and runtime != "OpenVINO":
                continue
            if reason := module.failure(path):
                print(f"{name}: {runtime} does not run it: {reason}")
                continue
            networks[name] = module.load(path, threads)
        for name, network in networks.items() if scored else ():
            found[name][f"{runtime}, top-1 (%)"] = accuracy(network, data)
        for size in BATCHES if rounds else ():
            images = np.random.default_rng(0).standard_normal((size, *data.task.shape), dtype=np.float32)
            for name, times in alternate(networks, images, rounds, seconds).items():
                found[name][f"{runtime}, batch {size} (ms)"] = float(np.median(times))
                found[name][f"{runtime}, batch {size} (calls)"] = len(times)
    columns = [key for key in max(found.values(), key=len) if "calls" not in key]
    print("| file | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|", sep="\n")
    for name, row in found.items():
        cells = (f"{row[column]:.3f}" if column in row else "" for column in columns)
        print(f"| {name} | " + " | ".join(cells) + " |")
    return found


if __name__ == "__main__":
    main()
