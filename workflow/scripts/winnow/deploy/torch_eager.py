"""torch, executing the trained module operator by operator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from winnow.deploy.runtimes import Network, Trained
from winnow.models.build import load_model


def load_module(trained: Trained, threads: int) -> Network:
    """Build a network with its weights, and return it as a function, channels last."""
    model = load_model(trained.settings, trained.task, trained.weights).to(memory_format=torch.channels_last)

    def run(images: np.ndarray) -> np.ndarray:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            logits: Tensor = model(torch.from_numpy(images).to(memory_format=torch.channels_last))
            return logits.numpy()

    return run
