"""What is zero or removed, whole and layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypedDict

from torch import Tensor, nn

from winnow.prune.layers import Weight
from winnow.prune.masks import Masks
from winnow.study.sparsity import LayerSparsity, Outside, WholeNetwork

_NOT_MULTIPLIED = "no layer multiplies activations by it"


class Counted(TypedDict):
    """The fields of `Sparsity` that are counted on the network."""

    achieved: float
    kept: int
    total: int
    whole_network: WholeNetwork
    layers: tuple[LayerSparsity, ...]
    outside: tuple[Outside, ...]


class _Counts(TypedDict):
    weights: int
    kept: int
    sparsity: float
    outputs: int
    kept_outputs: int


def sparsity_of(
    keep: Mapping[str, Tensor],
    weights: Mapping[str, Weight],
    spared: Collection[str],
    wide: nn.Module,
    start: nn.Module,
    masks: Masks,
) -> Counted:
    """Count what was asked to go, and what is removed of the whole network.

    Args:
        keep: bool [n] by what was pruned: what stays of it.
        weights: every weight of the network, by layer.
        spared: layers that were not pruned.
        wide: the dense network.
        start: the pruned network, narrow or with zeros.
        masks: of `start`.
    """
    kept, total = sum(int(mask.sum()) for mask in keep.values()), sum(len(mask) for mask in keep.values())
    layers: list[LayerSparsity] = []
    outside: list[Outside] = []
    for name, weight in weights.items():
        counts = _counts(weight, wide, start, masks)
        if weight.multiplied:
            layers.append(LayerSparsity(layer=name, **counts, spared=name in spared))
        else:
            outside.append(Outside(parameter=weight.parameter, **counts, reason=_NOT_MULTIPLIED))
    entries: list[LayerSparsity | Outside] = [*layers, *outside]
    everything, left = sum(entry.weights for entry in entries), sum(entry.kept for entry in entries)
    return {
        "achieved": 1 - kept / total,
        "kept": kept,
        "total": total,
        "whole_network": WholeNetwork(everything, left, 1 - left / everything),
        "layers": tuple(layers),
        "outside": tuple(outside),
    }


def _counts(weight: Weight, wide: nn.Module, start: nn.Module, masks: Masks) -> _Counts:
    before, now = (network.get_parameter(weight.parameter) for network in (wide, start))
    mask = masks.keep.get(weight.parameter)
    kept = now.numel() if mask is None else int(mask.sum())
    return {
        "weights": before.numel(),
        "kept": kept,
        "sparsity": 1 - kept / before.numel(),
        "outputs": len(before),
        "kept_outputs": len(now),
    }
