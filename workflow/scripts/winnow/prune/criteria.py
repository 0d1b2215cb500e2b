"""How much a weight matters: one score for each weight, higher stays longer.

Each family of criteria is a module of its own, loaded by the name that the vocabulary gives; the user's own is a
function given by its import path.
"""

from __future__ import annotations

import importlib

import torch
from torch import Tensor

from winnow.errors import WinnowError
from winnow.models.user_code import imported
from winnow.prune.scoring import Score, Scoring
from winnow.study.vocabulary import criterion


def weight_scores(scoring: Scoring) -> dict[str, Tensor]:
    """Score the weights of layers by a criterion.

    Returns:
        float32 by layer, in the shape of its weight.

    Raises:
        WinnowError: as the criterion says, a score that is not finite, or one of another shape than its weight.
    """
    scores = {layer: score.detach().float() for layer, score in _function(scoring)(scoring).items()}
    for layer, weight in scoring.weights.items():
        if layer not in scores or scores[layer].shape != weight.shape:
            found = tuple(scores[layer].shape) if layer in scores else "nothing"
            raise WinnowError(
                f"{scoring.run}: criterion {scoring.criterion} gives {found} for layer {layer}, whose weight is "
                f"{tuple(weight.shape)}; return one score for each weight"
            )
        if not torch.isfinite(scores[layer]).all():
            raise WinnowError(
                f"{scoring.run}: {scoring.criterion} scores of layer {layer} are not finite; train with a lower rate"
            )
    return {layer: scores[layer] for layer in scoring.weights}


def _function(scoring: Scoring) -> Score:
    module = criterion(scoring.criterion).module
    if module:
        score: Score = importlib.import_module(module).score
        return score
    own: Score = imported(scoring.criterion, f"{scoring.run}: cannot import criterion")
    return own


def combine(name: str, total: Tensor) -> Tensor:
    """Make sums of scores over the channels of a group, float32 [width], comparable with those of other groups."""
    module = criterion(name).module
    combined: Tensor = getattr(importlib.import_module(module), "combine", _as_is)(name, total) if module else total
    return combined


def _as_is(_: str, total: Tensor) -> Tensor:
    return total
