"""How much a weight matters: one score for each weight, higher stays longer.

l1, l2: magnitude (Han et al. 2015; Li et al. 2017). taylor: first-order effect on the loss of setting a weight
to zero, |w g|, in the trained network (Molchanov et al. 2019). snip: the same at initialization (Lee et al.
2019, connection sensitivity). random: a control.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.models.outputs import training_loss
from winnow.rng import generator

GRADIENT = ("taylor", "snip")
_BATCH = 64


def weight_scores(
    criterion: str,
    model: nn.Module,
    parameters: Mapping[str, str],
    data: ImageDataset,
    *,
    samples: int,
    random: torch.Generator,
    run: str,
) -> dict[str, Tensor]:
    """Score the weights of layers.

    Args:
        model: in inference mode on the CPU; for `snip` the untrained network. It is not changed.
        parameters: names of weights, by layer.
        samples: training images that gradients are taken on.

    Returns:
        float32 by layer, in the shape of its weight; at least 0.

    Raises:
        WinnowError: too few training images, or a score that is not finite.
    """
    if criterion == "snip":  # the running statistics of an untrained network mean nothing
        model = copy.deepcopy(model).train()
    weights = {layer: model.get_parameter(name) for layer, name in parameters.items()}
    if criterion == "random":
        return {name: torch.rand(weight.shape, generator=random) for name, weight in weights.items()}
    if criterion in GRADIENT:
        scores = _sensitivity(model, weights, data, samples, run)
    else:
        scores = {name: w.detach().abs() if criterion == "l1" else w.detach() ** 2 for name, w in weights.items()}
    for name, score in scores.items():
        if not torch.isfinite(score).all():
            raise WinnowError(f"{run}: {criterion} scores of layer {name} are not finite; train with a lower rate")
    return scores


def _sensitivity(
    model: nn.Module, weights: dict[str, Tensor], data: ImageDataset, samples: int, run: str
) -> dict[str, Tensor]:
    """Return |w g| with the gradient of the mean loss over a fixed draw of training images."""
    split = Split.of(data, "train", torch.device("cpu"))
    if samples > len(split):
        raise WinnowError(
            f"{run}: pruning.calibration_samples is {samples}, but the training split has {len(split)} images; lower it"
        )
    chosen = torch.randperm(len(split), generator=generator(1))[:samples]
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for index in chosen.chunk(math.ceil(samples / _BATCH)):  # no batch of a single image: batch norm refuses it
        output = model(split.normalized(split.images[index]))
        loss = training_loss(output, split.labels[index], reduction="sum") / samples
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for name, gradient in zip(weights, gradients, strict=True):
            totals[name] += gradient
    return {name: (weight.detach() * totals[name]).abs() for name, weight in weights.items()}
