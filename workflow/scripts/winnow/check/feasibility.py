"""Whether a study can be carried out with a network: everything it asks for, once, before it is trained.

The stages' own functions run on a few images, so that what refuses a network after hours of training refuses it
before. Accuracy and agreement of random weights mean nothing: checked is what depends on the structure alone. A network
that was trained elsewhere has the weights it begins with.
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

from winnow.check.trial import Details, Trial, quantization
from winnow.config.settings import CheckSettings, PruningSettings, StrategySettings
from winnow.data.dataset import ImageDataset
from winnow.deploy.export import check_agreement, example_images
from winnow.errors import WinnowError
from winnow.models.build import blank_image, build_model, check_same_again, load_model
from winnow.models.fit import check_inference
from winnow.models.imported import load_imported
from winnow.models.narrowing import cut_metadata
from winnow.models.user_code import user_code
from winnow.models.weights import save_weights
from winnow.prune.exported_zeros import check_exported_zeros
from winnow.prune.sensitivity import check_samples
from winnow.prune.step import Ancestors, PrunedNetwork, prune
from winnow.quantize.aware import AwareTraining
from winnow.study.check import Check, Finding
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import FP32, QAT, criterion
from winnow.train.loop import Trainee
from winnow.train.tuning import tuned

log = logging.getLogger(__name__)
_Step = Callable[[], Details | None]
_ADVICE = "correct the network, or do not ask for this"


def check_network(
    settings: CheckSettings, data: ImageDataset, run: str, imported: str | Path | None = None
) -> list[Finding]:
    """Try everything that a study asks of a network, in the order in which it would be needed.

    What needs something that does not work is not tried.

    Args:
        run: names the network in errors.
        imported: the weights it begins with (`models.imported`); None for random ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _Check(settings, data, run, Path(folder), imported).findings()


def ensure_checked(
    report: str | Path, settings: CheckSettings, data: ImageDataset, run: str, imported: str | Path | None = None
) -> None:
    """Check what a study has come to ask of a network since check.json was written.

    Raises:
        WinnowError: one line for each thing that does not work.
    """
    known = {entry.what for entry in Check.read(report).checks}
    recipes = tuple(recipe for recipe in settings.recipes if recipe.method not in known)
    if recipes:
        raise_failures(check_network(replace(settings, recipes=recipes), data, run, imported))


def raise_failures(findings: Sequence[Finding]) -> None:
    """Raise a WinnowError with one line for each thing that does not work."""
    if failures := [finding.reason for finding in findings if finding.reason]:
        raise WinnowError("\n".join(failures))


class _Check(Trial):
    def __init__(
        self, settings: CheckSettings, data: ImageDataset, run: str, folder: Path, imported: str | Path | None
    ) -> None:
        super().__init__(settings, data, run, folder)
        self.imported = imported
        self.found: list[Finding] = []
        self.exported: set[str] = set()  # structures of pruning

    def findings(self) -> list[Finding]:
        needed: dict[str, _Step] = {"weights": self._weights, "inference": self._inference}
        needed |= {"training": self._training, FP32: self._fp32}
        # loaded before the first export: the exporter knows the operators of that moment
        trials = [
            (recipe.method, partial(quantization(recipe.method), self, recipe)) for recipe in self.settings.recipes
        ]
        if all(self._try(what, step) for what, step in needed.items()):
            for method, trial in trials:
                self._try(method, trial)
            if self.settings.pruning:
                for strategy in self.settings.strategies:
                    what = f"{strategy.structure} by {strategy.criterion}"
                    self._try(what, partial(self._pruned, what, strategy, self.settings.pruning))
        return self.found

    def _try(self, what: str, step: _Step) -> bool:
        begin, reason, details = time.monotonic(), None, None
        try:
            with user_code(self.label(what), "does not work", _ADVICE, getattr(self, "model", None)):
                details = step()
        except WinnowError as error:
            reason = " ".join(str(error).split())
        seconds = time.monotonic() - begin
        self.found.append(
            Finding(what=what, works=reason is None, reason=reason, seconds=round(seconds, 2), details=details or {})
        )
        log.info("%s: %s (%.1f s)", self.label(what), reason or "works", seconds)
        return reason is None

    def _weights(self) -> None:
        self.model = build_model(self.settings.model, self.data.task, seed=self.settings.seed)
        check_same_again(self.model, self.settings.model, self.data.task, seed=self.settings.seed)
        if self.imported:
            load_imported(self.imported, self.model)

    def _inference(self) -> None:
        check_inference(self.model.eval(), self.label("inference"), self.data.task.shape)

    def _training(self) -> None:
        settings, image = self.settings.training, blank_image(self.data.task)
        trainee = tuned(copy.deepcopy(self.model), settings, image, self.label("training"))
        self.train(trainee, self.few, settings, "training")

    def _fp32(self) -> Details:
        path, details = self.export_float(self.model, FP32)
        for count in (1, 3):  # a file may work with the batch size of its example only
            check_agreement(self.model, self.few, path, self.label(FP32), integer=False, most=count)
        return details

    def _pruned(self, what: str, strategy: StrategySettings, settings: PruningSettings) -> Details:
        """Take one round; of the first criterion of a structure, also export what would be retrained."""
        if criterion(strategy.criterion).gradient:
            check_samples(self.data, settings.calibration_samples, self.label(what))
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
            run=self.label(what),
        )
        if strategy.structure not in self.exported:
            self._export_pruned(step, start, what)
            self.exported.add(strategy.structure)
        return {"sparsity": step.sparsity.whole_network.sparsity}

    def _export_pruned(self, step: PrunedNetwork, start: Path, what: str) -> None:
        save_weights(start, step.model, cut_metadata(step.cut))
        narrow = load_model(self.settings.model, self.few.task, start)
        self.train(Trainee(copy.deepcopy(narrow)), self.few, self.settings.training, what)
        check_exported_zeros(self.export_float(narrow, what)[0], step.masks, self.label(what))
        if self.settings.qat and step.masks.keep:
            aware = AwareTraining(narrow, example_images(self.few), self.settings.qat, Recipe(QAT), step.masks)
            aware.trainee.after_step()
            step.masks.check(aware.model, self.label(what))
