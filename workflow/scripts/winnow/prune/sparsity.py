"""What is zero or removed, whole and layer by layer: the content of sparsity.json."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from winnow.prune.layers import Weight
from winnow.prune.masks import Masks

_NOT_MULTIPLIED = "no layer multiplies activations by it"


def sparsity_of(
    keep: Mapping[str, Tensor],
    weights: Mapping[str, Weight],
    spared: Collection[str],
    wide: nn.Module,
    start: nn.Module,
    masks: Masks,
) -> dict[str, Any]:
    """Count what was asked to go, and what is gone of the whole network.

    Args:
        keep: bool [n] by what was pruned: what stays of it.
        weights: every weight of the network, by layer.
        spared: layers that were not pruned.
        wide: the dense network.
        start: the pruned network, narrow or with zeros.
        masks: of `start`.
    """
    kept, total = sum(int(mask.sum()) for mask in keep.values()), sum(len(mask) for mask in keep.values())
    layers, outside = [], []
    for name, weight in weights.items():
        counts = _counts(weight, wide, start, masks)
        if weight.multiplied:
            layers.append({"layer": name, **counts, "spared": name in spared})
        else:
            outside.append({"parameter": weight.parameter, **counts, "reason": _NOT_MULTIPLIED})
    everything, left = (sum(layer[key] for layer in (*layers, *outside)) for key in ("weights", "kept"))
    return {
        "achieved": 1 - kept / total,
        "kept": kept,
        "total": total,
        "whole_network": {"weights": everything, "kept": left, "sparsity": 1 - left / everything},
        "layers": layers,
        "outside": outside,
    }


def _counts(weight: Weight, wide: nn.Module, start: nn.Module, masks: Masks) -> dict[str, Any]:
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
