"""What a criterion is asked: how much do these weights matter?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.data.dataset import ImageDataset


@dataclass(frozen=True)
class Scoring:
    """The weights to score, and what they can be scored by.

    Attributes:
        criterion: its name, for a module that holds several.
        model: float32, in inference mode on the CPU, and not to be changed; untrained for criteria that score initial
            weights.
        weights: parameters of `model` by layer, in its order.
        data: the prepared data set.
        samples: training images that gradients are taken on, `pruning.calibration_samples`.
        random: draws that depend on seed and round alone.
        run: for messages.
    """

    criterion: str
    model: nn.Module
    weights: Mapping[str, nn.Parameter]
    data: ImageDataset
    samples: int
    random: torch.Generator
    run: str


Score = Callable[[Scoring], Mapping[str, Tensor]]
"""Returns float32 by layer, in the shape of its weight; a higher score stays longer. For structure `channels`, scores
of the weights of a channel are summed, so they should be at least 0."""
