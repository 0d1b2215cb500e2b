"""Every network that a study is to have, and where its files lie.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from winnow.study.grid import runs
from winnow.study.recipes import precisions
from winnow.study.vocabulary import DENSE, FP32, PRECISIONS

_QUANTIZED = {"dense": (), "last": (True,), "all": (True, False)}  # by APPLY_TO: of last rounds or of others


@dataclass(frozen=True, order=True)
class Network:
    """One model.onnx of a study: the keys of results.csv; see `Identity`."""

    dataset: str
    model: str
    seed: int
    run: str
    recipe: str
    precision: str

    @property
    def training(self) -> str:
        """Return the folder of the run, below results/<study>/."""
        return f"{self.dataset}/{self.model}/seed{self.seed}/{self.run}"

    @property
    def folder(self) -> str:
        """Return the folder of model.onnx, below results/<study>/."""
        return f"{self.training}/{self.recipe}"

    @property
    def file(self) -> str:
        """Return model.onnx, below results/<study>/: that of fp32, if runtimes are told to compute it otherwise."""
        return f"{self.training}/{FP32}/model.onnx" if PRECISIONS[self.precision].hint else f"{self.folder}/model.onnx"

    @property
    def history(self) -> str | None:
        """Return history.csv of the training run that made it, below results/<study>/; None if none did."""
        if not PRECISIONS[self.precision].trained:
            return None
        return f"{self.training if self.precision == FP32 else self.folder}/history.csv"


def networks(study: Mapping[str, Any]) -> Iterator[Network]:
    """Yield every network of a resolved study: dense ones first, then each round of each strategy."""
    forms, float_only = precisions(study["recipes"]), precisions({})
    for dataset in study["datasets"]:
        for model in study["models"]:
            for seed in study["seeds"]:
                for recipe, precision in forms.items():
                    yield Network(dataset, model, seed, DENSE, recipe, precision)
    rounds = list(runs(study["strategies"]))
    for dataset, model in study["pruned"]:
        for seed in study["seeds"]:
            for run, last in rounds:
                made = forms if last in _QUANTIZED[study["apply_to"]] else float_only
                for recipe, precision in made.items():
                    yield Network(dataset, model, seed, run, recipe, precision)
