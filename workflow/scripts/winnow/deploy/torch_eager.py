"""torch, executing the trained module operator by operator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from winnow.deploy.runtimes import Network


def load_module(model: nn.Module, threads: int) -> Network:
    """Return a module as a function, channels last."""
    model = model.eval().to(memory_format=torch.channels_last)

    def run(images: np.ndarray) -> np.ndarray:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            logits: Tensor = model(torch.from_numpy(images).to(memory_format=torch.channels_last))
            return logits.numpy()

    return run
