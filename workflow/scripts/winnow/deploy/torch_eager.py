"""torch, executing the trained module operator by operator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from winnow.data.batches import Normalizer
from winnow.data.normalization import Normalization
from winnow.deploy.runtimes import Network, Trained
from winnow.models.build import load_model


def load_module(trained: Trained, baked_in: Normalization | None, threads: int) -> Network:
    """Build a network with its weights, and return it as a function, channels last.

    Args:
        baked_in: what is done to images before the network.
    """
    model = load_model(trained.settings, trained.task, trained.weights).to(memory_format=torch.channels_last)
    normalized = Normalizer(baked_in, torch.device("cpu")) if baked_in else _channels_last

    def run(images: np.ndarray) -> np.ndarray:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            logits: Tensor = model(normalized(torch.from_numpy(images)))
            return logits.numpy()

    return run


def _channels_last(images: Tensor) -> Tensor:
    return images.to(memory_format=torch.channels_last)
