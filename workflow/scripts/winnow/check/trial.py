"""What all trials of one network share: a few images, its weights, and a folder for what comes of them.

A method of quantization is tried by the module that its word names, with
`tried(trial: Trial, recipe: Recipe) -> Details`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from torch import nn
from torch.fx import GraphModule

from winnow.config.settings import CheckSettings, TrainingSettings
from winnow.data.batches import training_batches
from winnow.data.dataset import ImageDataset
from winnow.deploy.coverage import check_coverage, measure_coverage
from winnow.deploy.export import example_images, export_checked, export_onnx, fed_images
from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.runnable import check_runs
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import PRECISIONS, RUNTIMES, SCORED
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

Details = dict[str, str | float | None]
"""What else is known of a trial that worked, by key; see `Finding`."""
_IMAGES = 8


class Trial:
    """One network on which everything is tried.

    Attributes:
        few: a few images of the data set.
        model: with the weights it begins with, random ones or imported; known once it has been built.
    """

    model: nn.Module

    def __init__(self, settings: CheckSettings, data: ImageDataset, run: str, folder: Path) -> None:
        self.settings, self.data, self.run, self.folder = settings, data, run, folder
        self.few = few_images(data, settings.training.batch_size)

    def label(self, what: str) -> str:
        """Return what errors call a trial."""
        return f"{self.run}, {what}"

    def path(self, what: str) -> Path:
        """Return where the model.onnx of a trial lies."""
        return self.folder / f"{what.replace(' ', '-')}.onnx"

    def train(self, trainee: Trainee, data: ImageDataset, settings: TrainingSettings, what: str) -> None:
        """Train a network as the settings say."""
        train(
            trainee,
            data,
            settings,
            Job(
                label=self.label(what),
                seed=self.settings.seed,
                resume=ResumeFile(self.path(what).with_suffix(".resume"), what),
                history=self.path(what).with_suffix(".csv"),
                snapshots={},
                tdp_watts=0.0,
            ),
        )

    def export_float(self, model: nn.Module, what: str) -> tuple[Path, Details]:
        """Export a float network, and return its file and in which runtimes it does not run, and why."""
        baked_in = self.settings.baked_in
        export_checked(model, self.few, self.path(what), run=self.label(what), integer=False, baked_in=baked_in)
        return self.path(what), self._failures(what)

    def export_integer(self, model: GraphModule, what: str) -> Details:
        """Export a quantized network, and return what `integers` does."""
        baked_in = self.few.normalization if self.settings.baked_in else None
        export_onnx(model, example_images(self.few), self.path(what), {}, baked_in)
        return self.integers(what)

    def integers(self, what: str) -> Details:
        """Check that enough of the file of a precision runs on integers.

        Returns:
            By runtime, why it does not run it; by `integer_macs_<runtime>`, the share of the multiply-accumulates.

        Raises:
            WinnowError: as `check_runs` and `check_coverage` do.
        """
        details, path = self._failures(what), self.path(what)
        graph, least = Graph(read_model(path).graph), self.settings.min_integer_macs
        for runtime in SCORED:
            if details[runtime] is not None or not RUNTIMES[runtime].on_integers(PRECISIONS[what]):
                continue
            coverage = measure_coverage(path, self.data.task.shape, runtime)
            check_coverage(coverage, graph, run=self.label(what), precision=what, least=least)
            details[f"integer_macs_{runtime}"] = coverage.macs
        return details

    def _failures(self, what: str) -> Details:
        images, label = fed_images(self.path(what), self.few), self.label(what)
        failures = check_runs(self.path(what), images, len(self.data.classes), label)
        return {runtime: failures.get(runtime) for runtime in SCORED}


def quantization(method: str) -> Callable[[Trial, Recipe], Details]:
    """Return what tries a method of quantization, by its name in the vocabulary."""
    tried: Callable[[Trial, Recipe], Details] = importlib.import_module(PRECISIONS[method].trial).tried
    return tried


def few_images(data: ImageDataset, batch_size: int) -> ImageDataset:
    """Return a data set of a few images, with training batches as small as the smallest of the real one."""
    smallest = (batch.stop - batch.start for batch in training_batches(len(data.train_index), batch_size))
    return data.few(train=max(2, min((_IMAGES, *smallest))), validation=2, test=_IMAGES)
