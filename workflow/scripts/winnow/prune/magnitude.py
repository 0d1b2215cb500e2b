"""l1, l2: the magnitude of a weight (Han et al. 2015), or the norm of a filter (Li et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from winnow.prune.scoring import Scoring


def score(scoring: Scoring) -> dict[str, Tensor]:
    """Return |w| for l1, w^2 for l2, whose sum over a filter is the square of its norm; see `scoring.Score`."""
    power = {"l1": 1, "l2": 2}[scoring.criterion]
    return {layer: weight.detach().abs() ** power for layer, weight in scoring.weights.items()}


def combine(criterion: str, total: Tensor) -> Tensor:
    """Turn sums over channels, float32 [width], into norms, as shares of their mean.

    Norms of wide and of narrow filters do not compare otherwise.
    """
    norms = total.sqrt() if criterion == "l2" else total
    return norms / norms.mean().clamp(min=torch.finfo(norms.dtype).tiny)
