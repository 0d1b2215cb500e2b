"""random: a control that knows nothing of the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from winnow.prune.scoring import Scoring


def score(scoring: Scoring) -> dict[str, Tensor]:
    """Return uniform draws from 0..1; see `scoring.Score`."""
    return {layer: torch.rand(weight.shape, generator=scoring.random) for layer, weight in scoring.weights.items()}
