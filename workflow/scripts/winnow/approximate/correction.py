"""The mean error of a circuit, measured on calibration images and taken out: it folds into the bias and costs nothing.

A sum of many products is wrong by their mean error times their number, far more than by how the errors spread. So this
one number for each output channel decides what a circuit costs in accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.fx import GraphModule

from winnow.approximate.circuits import circuit
from winnow.approximate.network import layer_by_layer
from winnow.approximate.products import ApproximateLayer, approximate_layer
from winnow.study.multipliers import EXACT, multiplier


def correct(module: GraphModule, batches: Sequence[Tensor]) -> None:
    """Add to each bias of an approximate network what its channel lacks on average, in place.

    A layer is corrected for what it reads once those in front of it are corrected.

    Args:
        batches: normalized float32 [N, C, H, W], on the device of the module; not all of the images that it is
            scored on.
    """
    for layer, codes in layer_by_layer(module, batches):
        layer.bias += lacking(layer, codes).round()


def lacking(layer: ApproximateLayer, codes: Sequence[Tensor]) -> Tensor:
    """Return the mean difference of the exact sums from those of a layer, float64 [out].

    Args:
        codes: what it reads of some batches, uint8 [N, in, ...]; of a linear [rows, in].
    """
    reference = approximate_layer(layer.source, circuit(multiplier(EXACT))).to(layer.bias.device)
    total, count = layer.bias.new_zeros(len(layer.bias)), 0
    for some in codes:
        difference = (reference.sums(some) - layer.sums(some)).movedim(1, -1).flatten(0, -2)
        total += difference.sum(0)
        count += len(difference)
    return total / count
