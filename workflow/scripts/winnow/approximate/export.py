"""An approximate network as model.onnx: look-ups of 256 entries and ordinary convolutions, the same whole numbers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from torch.fx import GraphModule

from winnow.approximate.multipliers import Multipliers, multiplication
from winnow.approximate.products import ApproximateLayer
from winnow.data.dataset import ImageDataset
from winnow.deploy.export import export_checked
from winnow.errors import WinnowError
from winnow.quantize.images import calibration_batches
from winnow.study.multiplication import MULTIPLICATION

_IMAGES = 256  # of the training split, on which operands are counted


def export_approximate(
    module: GraphModule,
    data: ImageDataset,
    path: str | Path,
    *,
    run: str,
    multipliers: Multipliers | None,
    baked_in: bool = False,
) -> None:
    """Export an int8 network, approximate or not, and check the file; see `export_checked`.

    What an approximate one multiplies, and how wrong that is, is said in the metadata of its file: whoever scores it
    needs no torch.

    Args:
        multipliers: those of its layers; None if they are exact.

    Raises:
        WinnowError: a circuit of it has no form of few terms, or sums too large for the float32 of a convolution.
    """
    for layer in module.modules():
        if isinstance(layer, ApproximateLayer) and layer.arithmetic != torch.float32:
            reason = "is looked up in a table" if layer.arithmetic is None else "adds up to more than float32 holds"
            raise WinnowError(
                f"{run}: what the multiplier of {layer.source.name} returns {reason}, which no ordinary operator of "
                "ONNX computes; take exact, bam, drum or roba, or a table that is a sum of few products"
            )
    facts = {}
    if multipliers is not None:
        images = list(calibration_batches(data, min(_IMAGES, len(data.train_index))))
        facts[MULTIPLICATION] = asdict(multiplication(module, images, multipliers))
    export_checked(module, data, path, run=run, integer=True, baked_in=baked_in, facts=facts)
