"""Whether a study can be carried out with a network: everything it asks for, once, with random weights.

The stages' own functions run on a few images, so that what refuses a network after hours of training refuses it
before. Accuracy and agreement of random weights mean nothing: checked is what depends on the structure alone.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn
from torch.fx import GraphModule

from winnow.config.settings import CheckSettings, PruningSettings, QatSettings, StrategySettings, TrainingSettings
from winnow.data.batches import training_batches
from winnow.data.dataset import ImageDataset
from winnow.deploy.coverage import check_coverage, measure_coverage
from winnow.deploy.export import check_agreement, example_images, export_checked, export_onnx
from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.runnable import check_runs
from winnow.errors import WinnowError
from winnow.models.build import build_model, check_same_again, load_model
from winnow.models.fit import check_inference
from winnow.models.narrowing import cut_metadata
from winnow.models.user_code import user_code
from winnow.models.weights import save_weights
from winnow.prune.exported_zeros import check_exported_zeros
from winnow.prune.masks import Masks
from winnow.prune.sensitivity import check_samples
from winnow.prune.step import Ancestors, PrunedNetwork, prune
from winnow.quantize.aware import AwareTraining
from winnow.quantize.dynamic import quantize_dynamic
from winnow.quantize.static import calibration_batches, check_calibration, quantize_static
from winnow.study.check import Check, Finding
from winnow.study.vocabulary import DYNAMIC, FP32, PRECISIONS, PTQ, QAT, RUNTIMES, SCORED, criterion
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

log = logging.getLogger(__name__)
_Details = dict[str, str | float | None]
_Step = Callable[[], _Details | None]
_IMAGES = 8
_ADVICE = "correct the network, or do not ask for this"


def check_network(settings: CheckSettings, data: ImageDataset, run: str) -> list[Finding]:
    """Try everything that a study asks of a network, in the order in which it would be needed.

    What needs something that does not work is not tried.

    Args:
        run: names the network in errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _Check(settings, data, run, Path(folder)).findings()


def ensure_checked(report: str | Path, settings: CheckSettings, data: ImageDataset, run: str) -> None:
    """Check what a study has come to ask of a network since check.json was written.

    Raises:
        WinnowError: one line for each thing that does not work.
    """
    known = {entry.what for entry in Check.read(report).checks}
    methods = tuple(method for method in settings.methods if method not in known)
    if methods:
        raise_failures(check_network(replace(settings, methods=methods), data, run))


def raise_failures(findings: Sequence[Finding]) -> None:
    """Raise a WinnowError with one line for each thing that does not work."""
    if failures := [finding.reason for finding in findings if finding.reason]:
        raise WinnowError("\n".join(failures))


class _Check:
    def __init__(self, settings: CheckSettings, data: ImageDataset, run: str, folder: Path) -> None:
        self.settings, self.data, self.run, self.folder = settings, data, run, folder
        self.few = _few(data, settings.training.batch_size)
        self.shape = data.task.shape
        self.found: list[Finding] = []
        self.exported: set[str] = set()  # structures of pruning
        self.model: nn.Module

    def findings(self) -> list[Finding]:
        needed: dict[str, _Step] = {"weights": self._weights, "inference": self._inference}
        needed |= {"training": self._training, FP32: self._fp32}
        if all(self._try(what, step) for what, step in needed.items()):
            steps: dict[str, _Step] = {DYNAMIC: self._dynamic, PTQ: self._ptq}
            if self.settings.qat:
                steps[QAT] = partial(self._qat, self.settings.qat)
            for method in self.settings.methods:
                self._try(method, steps[method])
            if self.settings.pruning:
                for strategy in self.settings.strategies:
                    step = partial(self._pruned, strategy, self.settings.pruning)
                    self._try(f"{strategy.structure} by {strategy.criterion}", step)
        return self.found

    def _try(self, what: str, step: _Step) -> bool:
        begin, reason, details = time.monotonic(), None, None
        try:
            with user_code(self._label(what), "does not work", _ADVICE, getattr(self, "model", None)):
                details = step()
        except WinnowError as error:
            reason = " ".join(str(error).split())
        seconds = time.monotonic() - begin
        self.found.append(
            Finding(what=what, works=reason is None, reason=reason, seconds=round(seconds, 2), details=details or {})
        )
        log.info("%s: %s (%.1f s)", self._label(what), reason or "works", seconds)
        return reason is None

    def _label(self, what: str) -> str:
        return f"{self.run}, {what}"

    def _weights(self) -> None:
        self.model = build_model(self.settings.model, self.data.task, seed=self.settings.seed)
        check_same_again(self.model, self.settings.model, self.data.task, seed=self.settings.seed)

    def _inference(self) -> None:
        check_inference(self.model.eval(), self._label("inference"), self.shape)

    def _training(self) -> None:
        self._train(Trainee(copy.deepcopy(self.model)), self.few, self.settings.training, "training")

    def _fp32(self) -> _Details:
        path, details = self._export_float(self.model, FP32)
        for count in (1, 3):  # a file may work with the batch size of its example only
            check_agreement(self.model, example_images(self.few)[:count], path, self._label(FP32), integer=False)
        return details

    def _dynamic(self) -> _Details:
        quantize_dynamic(self._path(FP32), self._path(DYNAMIC))
        return self._integers(DYNAMIC)

    def _ptq(self) -> _Details:
        check_calibration(self.data, self.settings.ptq.calibration_samples)
        batches = calibration_batches(self.few, len(self.few.train_index))
        return self._export_integer(quantize_static(self.model, batches, self.settings.ptq.observer), PTQ)

    def _qat(self, settings: QatSettings) -> _Details:
        aware = self._aware(self.model, settings, None)
        few = _few(self.data, settings.training.batch_size)
        self._train(aware.trainee, few, settings.training, QAT)
        self._export_float(aware.float_model(), "qat-float")
        return self._export_integer(aware.convert(), QAT)

    def _pruned(self, strategy: StrategySettings, settings: PruningSettings) -> _Details:
        """Take one round; of the first criterion of a structure, also export what would be retrained."""
        what = f"{strategy.structure} by {strategy.criterion}"
        if criterion(strategy.criterion).gradient:
            check_samples(self.data, settings.calibration_samples, self._label(what))
        weights, start = self.folder / "weights.safetensors", self.folder / "start.safetensors"
        save_weights(weights, self.model)
        step = prune(
            Ancestors(weights=weights, masks=None, snapshot=None, init=weights),
            self.settings.model,
            self.few,
            strategy,
            replace(settings, calibration_samples=len(self.few.train_index)),
            slug=what,
            number=1,
            seed=self.settings.seed,
            run=self._label(what),
        )
        if strategy.structure not in self.exported:
            self._export_pruned(step, start, what)
            self.exported.add(strategy.structure)
        return {"sparsity": step.sparsity.whole_network.sparsity}

    def _export_pruned(self, step: PrunedNetwork, start: Path, what: str) -> None:
        save_weights(start, step.model, cut_metadata(step.cut))
        narrow = load_model(self.settings.model, self.few.task, start)
        self._train(Trainee(copy.deepcopy(narrow)), self.few, self.settings.training, what)
        check_exported_zeros(self._export_float(narrow, what)[0], step.masks, self._label(what))
        if self.settings.qat and step.masks.keep:
            aware = self._aware(narrow, self.settings.qat, step.masks)
            aware.trainee.after_step()
            aware.check(self._label(what))

    def _aware(self, model: nn.Module, settings: QatSettings, masks: Masks | None) -> AwareTraining:
        return AwareTraining(model, example_images(self.few), settings, masks)

    def _train(self, trainee: Trainee, data: ImageDataset, settings: TrainingSettings, what: str) -> None:
        train(
            trainee,
            data,
            settings,
            Job(
                label=self._label(what),
                seed=self.settings.seed,
                resume=ResumeFile(self._path(what).with_suffix(".resume"), what),
                history=self._path(what).with_suffix(".csv"),
                snapshots={},
                tdp_watts=0.0,
            ),
        )

    def _export_float(self, model: nn.Module, what: str) -> tuple[Path, _Details]:
        export_checked(model, self.few, self._path(what), run=self._label(what), integer=False)
        return self._path(what), self._run(what)

    def _export_integer(self, model: GraphModule, what: str) -> _Details:
        export_onnx(model, example_images(self.few), self._path(what), {})
        return self._integers(what)

    def _integers(self, what: str) -> _Details:
        """Check that enough runs on integers, and say which share of the multiply-accumulates does."""
        details, path = self._run(what), self._path(what)
        graph, least = Graph(read_model(path).graph), self.settings.min_integer_macs
        for runtime in SCORED:
            if details[runtime] is not None or not RUNTIMES[runtime].on_integers(PRECISIONS[what]):
                continue
            coverage = measure_coverage(path, self.shape, runtime)
            check_coverage(coverage, graph, run=self._label(what), precision=what, least=least)
            details[f"integer_macs_{runtime}"] = coverage.macs
        return details

    def _run(self, what: str) -> _Details:
        images, label = example_images(self.few), self._label(what)
        failures = check_runs(self._path(what), images, len(self.data.classes), label)
        return {runtime: failures.get(runtime) for runtime in SCORED}

    def _path(self, what: str) -> Path:
        return self.folder / f"{what.replace(' ', '-')}.onnx"


def _few(data: ImageDataset, batch_size: int) -> ImageDataset:
    """Return a data set of a few images, with training batches as small as the smallest of the real one."""
    smallest = (batch.stop - batch.start for batch in training_batches(len(data.train_index), batch_size))
    return data.few(train=max(2, min((_IMAGES, *smallest))), validation=2, test=_IMAGES)
