"""Which operands a network multiplies: what weighs the error of a circuit, and what its multiplications cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from winnow.approximate.layers import IntegerLayer
from winnow.approximate.network import layer_by_layer

_CODES = 256


@dataclass(frozen=True, eq=False)
class Operands:
    """What one layer multiplies.

    Attributes:
        layer: its name in tables.
        macs: multiply-accumulates for one image, padding counted as multiplied.
        pairs: float64 [256, 256], share of each activation -128..127 with each weight -128..127.
    """

    layer: str
    macs: int
    pairs: np.ndarray


def operands(module: GraphModule, batches: Sequence[Tensor]) -> list[Operands]:
    """Count the operands of every layer of an approximate network while it runs.

    Each weight is taken to meet every activation of its channel: at the borders of an image, and with strides, some
    pairs come a little less often.

    Args:
        batches: normalized float32 [N, C, H, W].
    """
    images = sum(len(batch) for batch in batches)
    found = []
    for layer, codes in layer_by_layer(module, batches):
        source = layer.source
        kernel = tuple(source.weight.shape[2:])
        places = sum(len(some) * source.geometry.places(some.shape, kernel) for some in codes)
        pairs = _by_channel(codes).T @ _weights_by_channel(source)
        found.append(Operands(source.name, source.weight.numel() * places // images, pairs / pairs.sum()))
    return found


def network_pairs(layers: Sequence[Operands]) -> np.ndarray:
    """Return the share of each pair among all multiplications of a network, float64 [256, 256]."""
    shares: np.ndarray = np.average([layer.pairs for layer in layers], axis=0, weights=[layer.macs for layer in layers])
    return shares


def _by_channel(codes: Sequence[Tensor]) -> np.ndarray:
    """Count activations, float64 [in, 256]; a code is the activation plus 128."""
    together = torch.cat([some.transpose(0, 1).flatten(1) for some in codes], 1)
    return _counts(together, len(together))


def _weights_by_channel(source: IntegerLayer) -> np.ndarray:
    """Count weights by the channel of the input that they meet, float64 [in, 256]."""
    by_group = (source.weight.int() + 128).unflatten(0, (source.geometry.groups, -1))
    by_channel = by_group.transpose(1, 2).flatten(0, 1).flatten(1)  # [in, out / groups * kernel]
    return _counts(by_channel, len(by_channel))


def _counts(values: Tensor, channels: int) -> np.ndarray:
    """Count codes 0..255 by channel, [channels, ...] to float64 [channels, 256]."""
    index = values.int() + _CODES * torch.arange(channels, device=values.device)[:, None]
    counted: np.ndarray = torch.bincount(index.flatten(), minlength=_CODES * channels).cpu().double().numpy()
    return counted.reshape(channels, _CODES)
