"""What a job takes in time and disk: measured where something like it has run, else assumed, and said so.

Read before anything runs, so it must not import torch.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from winnow.config.catalog import SOURCES
from winnow.config.study import Study
from winnow.files import safetensors_header
from winnow.planning.dry_run import PlannedJob
from winnow.study.vocabulary import FP32

# seconds of a job where this study has not run one; between those of small and of large networks on two cores
ASSUMED_SECONDS = {
    "prepare_dataset": 30,
    "import_network": 10,
    "check_network": 20,
    "prune": 10,
    "export": 10,
    "quantize_dynamic": 5,
    "calibrate": 20,
    "measure_sensitivity": 60,
    "choose_float": 60,
    "choose_multipliers": 180,
    "evaluate": 20,
    "time_layers": 5,
    "benchmark": 10,  # and what it is configured to measure
}


_ASSUMED_OTHER_SECONDS = 5
ASSUMED_IMAGES_PER_SECOND = 500
ASSUMED_QAT_FACTOR = 1.7  # epochs of ResNet-18 on two cores: 120 s against 70 s
ASSUMED_TEACHER_FACTOR = 4 / 3  # a forward pass more, beside a forward and a backward one that takes twice as long
_ASSUMED_IMAGES = 50_000
_ASSUMED_PARAMETERS = 10e6
# with 10 classes and 32x32 images
_PARAMETERS = {
    "lenet5": 0.66e6,
    "lenet_300_100": 0.95e6,
    "mobilenet_v2": 2.2e6,
    "resnet18": 11.2e6,
    "resnet20": 0.27e6,
    "resnet34": 21.3e6,
    "resnet50": 23.5e6,
    "resnet56": 0.85e6,
    "vgg16_bn": 14.7e6,
}


_SMALL_FILE = 20_000
TRAININGS = ("train", "tune", "retrain", "train_quantized")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class EpochTime:
    """Seconds one epoch of training takes, and where that number is from."""

    seconds: float
    source: str


@dataclass
class Costs:
    """Time and disk of a study's jobs.

    Attributes:
        study: what is planned.
        results: the folder all studies are in.
        images_per_second: training throughput assumed where nothing is measured.
        node_cores: cores of a node, which a job that asks for a whole one takes all; None if nobody knows.
    """

    study: Study
    results: Path = Path("results")
    images_per_second: float = ASSUMED_IMAGES_PER_SECOND
    node_cores: int | None = None
    _known: dict[tuple[object, ...], Any] = field(default_factory=dict, repr=False)

    def seconds(self, job: PlannedJob) -> float:
        """Wall time of a job that has its threads, or its GPU, to itself."""
        if job.rule in TRAININGS:
            taught = ASSUMED_TEACHER_FACTOR if job.rule == "retrain" and self._retraining(job)["distill"] else 1
            return self.epochs(job) * self.epoch_time(job).seconds * taught
        place = tuple(job.wildcards[key] for key in ("dataset", "model") if key in job.wildcards)
        return self._once(("job", job.rule, *place), lambda: self._job_seconds(job.rule, place))

    def cores(self, job: PlannedJob) -> int:
        """Cores that a job keeps from others."""
        return (job.whole_node and self.node_cores) or job.threads

    def epochs(self, job: PlannedJob) -> int:
        """Epochs of a training run; what a killed attempt has already done is not known."""
        model = job.wildcards["model"]
        if job.rule == "train_quantized":
            return int(self.study.qat[model]["training"]["epochs"])
        if job.rule in ("train", "tune"):
            return int(self.study.training[model]["epochs"])
        retraining = self._retraining(job)
        return int(retraining["training"]["epochs"] - retraining["first_epoch"])

    def _retraining(self, job: PlannedJob) -> dict[str, Any]:
        rewind = self.study.strategies[job.wildcards["pruning"]]["rewind"]
        return self.study.retraining[job.wildcards["model"]][rewind]

    def epoch_time(self, job: PlannedJob) -> EpochTime:
        """From history.csv of the same data set and network: of this study, else of another one."""
        place, aware = (job.wildcards["dataset"], job.wildcards["model"]), job.rule == "train_quantized"
        return self._once(("epoch", *place, aware), lambda: self._epoch_time(*place, aware))

    def size(self, job: PlannedJob) -> int:
        """Bytes of the files a job adds for good; at most, for a network that loses channels."""
        return sum(self._size(path, job) for path in job.outputs if not Path(path).exists())

    def _once(self, key: tuple[object, ...], compute: Callable[[], _Value]) -> _Value:
        if key not in self._known:
            self._known[key] = compute()
        value: _Value = self._known[key]
        return value

    def _job_seconds(self, rule: str, place: tuple[str, ...]) -> float:
        logs = self.results / self.study.study / "logs" / rule
        found = sorted(logs.joinpath(*place).rglob("*.tsv")) or [
            path
            for path in (logs.with_suffix(".tsv"), logs.joinpath(*place[:-1], f"{place[-1] if place else ''}.tsv"))
            if path.is_file()
        ]
        measured = [float(row["s"]) for path in found[:200] for row in _rows(path, "\t")]
        if measured:
            return median(measured)
        assumed = ASSUMED_SECONDS.get(rule, _ASSUMED_OTHER_SECONDS)
        return assumed + (benchmark_seconds(self.study.benchmark) if rule == "benchmark" else 0)

    def _epoch_time(self, dataset: str, model: str, aware: bool) -> EpochTime:
        file = Path(dataset) / model / "seed*" / "dense" / ("*" if aware else "") / "history.csv"  # of any recipe
        for study in (self.study.study, "*"):
            paths = sorted(self.results.glob(f"{study}/{file}"))
            if seconds := [float(row["seconds"]) for path in paths for row in _rows(path, ",")]:
                where = ", ".join(sorted({path.relative_to(self.results).parts[0] for path in paths}))
                return EpochTime(median(seconds), f"median of {len(seconds)} epochs measured in {where}")
        if aware:
            base = self._once(("epoch", dataset, model, False), lambda: self._epoch_time(dataset, model, False))
            times = ASSUMED_QAT_FACTOR * (ASSUMED_TEACHER_FACTOR if self.study.qat[model]["distill"] else 1)
            return EpochTime(base.seconds * times, f"assumed: {times:.3g} x the base training")
        images = self.training_images(dataset)
        source = f"assumed: {images} images at {self.images_per_second:g} images/s"
        return EpochTime(images / self.images_per_second, source)

    def training_images(self, dataset: str) -> int:
        """Images of the training split: of the prepared file, else as the configuration lets expect."""
        header = self._header(dataset)
        if header:
            return int(header["train_index"]["shape"][0])
        settings = self.study.datasets[dataset]
        images = SOURCES[settings["source"]].training_samples or _ASSUMED_IMAGES
        known = min(images, settings["max_train_samples"] or images)
        held_back: float = settings["validation_fraction"]
        return round(known * (1 - held_back))

    def _size(self, path: str, job: PlannedJob) -> int:
        name, parent = Path(path).name, Path(path).parent.name
        if "model" not in job.wildcards:
            return self._dataset_bytes(job.wildcards["dataset"]) if name.endswith(".safetensors") else _SMALL_FILE
        if name == "start.safetensors":
            return 0  # temporary
        weights = self._weight_bytes(job.wildcards["dataset"], job.wildcards["model"])
        if name == "masks.safetensors" or (name == "model.onnx" and parent != FP32):
            return weights // 4  # a byte for each weight
        return weights if name.endswith((".safetensors", ".onnx")) else _SMALL_FILE

    def _weight_bytes(self, dataset: str, model: str) -> int:
        def measured() -> int:
            for path in self.results.glob(f"*/{dataset}/{model}/seed*/dense/weights.safetensors"):
                return path.stat().st_size
            return round(4 * _PARAMETERS.get(self.study.models[model]["name"], _ASSUMED_PARAMETERS))

        return self._once(("weights", dataset, model), measured)

    def _dataset_bytes(self, dataset: str) -> int:
        settings = self.study.datasets[dataset]
        own = [SOURCES[settings["source"]].image_size]
        size: list[int] = settings["crop"] or settings["resize"] or settings["image_size"] or own
        pixels: int = (settings["channels"] or 3) * size[0] * size[-1]
        return round(self.training_images(dataset) * 1.3 * pixels)  # with validation and test images

    def _header(self, dataset: str) -> dict[str, Any] | None:
        path = self.results / "data" / f"{dataset}.safetensors"
        return self._once(("header", dataset), lambda: safetensors_header(path) if path.exists() else None)


def benchmark_seconds(settings: Mapping[str, Any]) -> float:
    """Return what the configured measurements of one network take."""
    configurations = len(settings["runtimes"]) * len(settings["batch_sizes"]) * len(settings["threads"])
    return float(configurations * (settings["warmup_seconds"] + settings["seconds"]))


def _rows(path: Path, delimiter: str) -> Iterable[dict[str, str]]:
    """Return the rows of a table; none if it cannot be read: an estimate does not fail."""
    try:
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter=delimiter))
    except (OSError, ValueError):
        return []
