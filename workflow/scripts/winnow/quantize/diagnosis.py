"""Why quantization-aware training has made a network worse, in one line."""

from __future__ import annotations

import copy
import logging
import math

import torch
from torch import nn
from torch.fx import GraphModule

from winnow.capture.fx_graphs import NORMS, calls
from winnow.config.settings import QatSettings
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.quantize.aware import AwareTraining
from winnow.train.validation import score

log = logging.getLogger(__name__)


def warn_of_loss(aware: AwareTraining, data: ImageDataset, settings: QatSettings, run: str) -> None:
    """Log what has cost the accuracy that quantization-aware training has lost, if it has.

    Lost is what is more than two standard errors on the validation images. The network is then scored with its trained
    weights in float, and these with the statistics of each batch instead of those that its norms keep.

    Args:
        aware: trained, in inference mode.
    """
    split = Split.of(data, "validation", torch.device("cpu"))

    def accuracy(model: nn.Module) -> float:
        return score(model, split, torch.device("cpu"), "fp32")[1]

    before, after = accuracy(aware.captured), accuracy(copy.deepcopy(aware.model).cpu())
    margin = 2 * math.sqrt(before * (1 - before) / len(split)) + 1 / len(split)
    if before - after <= margin:
        return
    trained = aware.float_model()
    if before - accuracy(trained) <= margin:
        cause = (
            "its weights in float are as good as before, so the rounding costs it: raise epochs, let ranges settle "
            "later (quantization.qat.freeze_observers_epoch), or take more bits"
        )
    elif before - accuracy(_with_batch_statistics(trained)) <= margin:
        cause = (
            "its batch norms have lost their statistics: with those of each batch it is as good as before; lower "
            "quantization.qat.freeze_batchnorm_epoch, or take larger batches"
        )
    else:
        cause = (
            f"its weights in float are worse, too: lower quantization.qat.lr, now {settings.training.lr:g}, "
            "or raise epochs"
        )
    log.warning(
        "%s: quantization-aware training has lost accuracy on %d validation images, from %.2f %% to %.2f %%; %s",
        *(run, len(split), 100 * before, 100 * after, cause),
    )


def _with_batch_statistics(graph_module: GraphModule) -> GraphModule:
    """Return a copy whose norms use the statistics of each batch."""
    model = copy.deepcopy(graph_module)
    for node in calls(model):
        if node.target in NORMS:
            node.update_arg(5, True)
    model.recompile()
    return model
