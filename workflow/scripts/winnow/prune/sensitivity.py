"""taylor, snip: the first-order effect on the loss of setting a weight to zero, |w g|.

taylor: in the trained network (Molchanov et al. 2019). snip: at initialization (Lee et al. 2019, connection
sensitivity).
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.models.outputs import training_loss
from winnow.prune.scoring import Scoring
from winnow.rng import generator
from winnow.study.vocabulary import CRITERIA

_BATCH = 64


def check_samples(data: ImageDataset, count: int, run: str) -> None:
    """Refuse to take gradients on more images than there are.

    Raises:
        WinnowError: the training split has fewer.
    """
    if count > len(data.train_index):
        raise WinnowError(
            f"{run}: pruning.calibration_samples is {count}, but the training split has {len(data.train_index)} "
            "images; lower it"
        )


def score(scoring: Scoring) -> dict[str, Tensor]:
    """Return |w g| with the gradient of the mean loss over a fixed draw of training images; see `scoring.Score`.

    Raises:
        WinnowError: too few training images.
    """
    split, samples = Split.of(scoring.data, "train", torch.device("cpu")), scoring.samples
    check_samples(scoring.data, samples, scoring.run)
    model, names = scoring.model, {id(value): name for name, value in scoring.model.named_parameters()}
    if CRITERIA[scoring.criterion].initial:  # the running statistics of an untrained network mean nothing
        model = copy.deepcopy(model).train()
    weights = {layer: model.get_parameter(names[id(weight)]) for layer, weight in scoring.weights.items()}
    chosen = torch.randperm(len(split), generator=generator(1))[:samples]
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for index in chosen.chunk(math.ceil(samples / _BATCH)):  # no batch of a single image: batch norm refuses it
        output = model(split.normalized(split.take(index)))
        loss = training_loss(output, split.labels[index], reduction="sum") / samples
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for name, gradient in zip(weights, gradients, strict=True):
            totals[name] += gradient
    return {name: (weight.detach() * totals[name]).abs() for name, weight in weights.items()}
