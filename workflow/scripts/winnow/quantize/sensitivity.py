"""Which layers quantization hurts: each alone on integers, and each alone in float."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from winnow.measure.metrics import classification, sqnr_db
from winnow.quantize.calibration import Calibration
from winnow.quantize.int8 import plan_of
from winnow.quantize.watching import watch
from winnow.quantize.weights import float_weights
from winnow.study.recipe import Recipe
from winnow.study.sensitivity import LayerSensitivity, Sensitivity, Setting

Labelled = Sequence[tuple[Tensor, Tensor]]
"""Batches of normalized float32 [N, C, H, W] with labels, int64 [N]."""


def measure_sensitivity(
    model: nn.Module, batches: Iterable[Tensor], recipe: Recipe, validation: Labelled
) -> Sensitivity:
    """Score a network with every layer quantized alone, and with every layer alone in float.

    Ranges are observed once and weights are rounded to the nearest, so each of these settings, two for a layer, costs
    a pass over the validation images.

    Args:
        model: fp32; it is not changed.
        batches: of calibration images, as `quantize_static` takes them.
        recipe: of method `ptq`.
    """
    calibration = Calibration(model, batches, recipe, sparing=True)
    scorer = Scorer(calibration.graph_module, validation)
    names = list(calibration.operators)
    macs, weights = _sizes(calibration)

    def without(*spared: str) -> Setting:
        return scorer.score(calibration.quantized(spared, nearest_only=True))

    return Sensitivity(
        axes=recipe.axes,
        samples=scorer.samples,
        floats=scorer.floats,
        quantized=without(),
        layers=tuple(
            LayerSensitivity(
                layer=name,
                alone=without(*(other for other in names if other != name)),
                spared=without(name),
                macs=macs[name] / sum(macs.values()),
                weights=weights[name] / sum(weights.values()),
            )
            for name in names
        ),
    )


class Scorer:
    """Scores networks on validation images, and against the logits of the float network.

    Attributes:
        floats: what the float network scores.
        samples: how many images there are.
    """

    def __init__(self, model: nn.Module, validation: Labelled) -> None:
        self._images = [images for images, _ in validation]
        self._labels = torch.cat([labels for _, labels in validation]).numpy()
        self._truth = self._logits(model)
        self.floats = self._setting(self._truth)
        self.samples = len(self._labels)

    def score(self, model: nn.Module) -> Setting:
        return self._setting(self._logits(model))

    @torch.no_grad()
    def _logits(self, model: nn.Module) -> np.ndarray:
        logits: np.ndarray = torch.cat([model(images) for images in self._images]).numpy()
        return logits

    def _setting(self, logits: np.ndarray) -> Setting:
        scores = classification(logits, self._labels)
        return Setting(scores.loss, scores.top1, sqnr_db(self._truth, logits))


def _sizes(calibration: Calibration) -> tuple[dict[str, int], dict[str, int]]:
    """Return multiply-accumulates for one image, and weights, of each layer by its name."""
    graph_module, images = calibration.graph_module, calibration.examples[:2]
    nodes = {node.name: node for node in graph_module.graph.nodes}
    layers = {layer.operator: layer for layer in plan_of(graph_module).layers}
    outputs: dict[str, int] = {}
    watch(graph_module, [images], {name: partial(_note, outputs, name) for name in layers})
    shapes = {name: float_weights(graph_module, nodes, layer).weight.shape for name, layer in layers.items()}
    names = calibration.operators.items()
    macs = {name: outputs[node] // len(images) * prod(shapes[node][1:]) for name, node in names}
    return macs, {name: prod(shapes[node]) for name, node in names}


def _note(outputs: dict[str, int], name: str, value: Tensor) -> None:
    outputs[name] = value.numel()
