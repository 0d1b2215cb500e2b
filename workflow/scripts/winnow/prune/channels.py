"""Which channels go: the channels of groups are scored, removed, and what is left is checked.

Filters by their norm: Li et al. 2017; coupled layers as one group: Fang et al. 2023 (DepGraph).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from winnow.errors import WinnowError
from winnow.models.narrowing import Cut, Removal, kept_places, replay
from winnow.prune.channel_groups import ChannelGroup
from winnow.prune.criteria import combine
from winnow.prune.cuts import fault, removals_of


def channel_scores(groups: Iterable[ChannelGroup], scores: Mapping[str, Tensor], criterion: str) -> dict[str, Tensor]:
    """Sum the scores of the weights of every channel, over all layers of its group.

    Args:
        scores: of single weights, by layer (`criteria.weight_scores`).

    Returns:
        float32 [width] by the group's root.
    """
    result = {}
    for group in groups:
        total = torch.zeros(group.width)
        for layer, places, channels in group.members:
            total.index_add_(0, channels, scores[layer].flatten(1).sum(1)[places])
        result[group.root] = combine(criterion, total)
    return result


def original_channels(
    wide: nn.Module, cut: Cut, roots: Iterable[str], example: Tensor
) -> dict[str, tuple[int, Tensor]]:
    """Return, by group, the number of channels of the wide network and which of them are left: int64 [width]."""
    places = kept_places(wide, cut, example)
    origin = {}
    for root in roots:
        weight = wide.get_parameter(f"{root}.weight")
        first = places[f"{root}.weight"].flatten(1)[:, 0]
        origin[root] = len(weight), first // weight[0].numel()
    return origin


def remove_channels(model: nn.Module, example: Tensor, keep: Mapping[str, Tensor], run: str) -> list[Removal]:
    """Remove output channels and whatever depends on them, in place.

    Args:
        model: in inference mode on the CPU.
        keep: bool [width] by the root of a group, at least one True.

    Returns:
        What was removed, to be repeated by `narrowing.replay`.

    Raises:
        WinnowError: the narrow network computes something else than the wide one with the removed values set to zero.
    """
    removals = removals_of(keep)
    if not removals:
        return []
    if reason := fault(model, keep, example):
        raise WinnowError(
            f"{run}: without the removed channels the network is not the same: {reason}; use structure unstructured, "
            "or leave this network out of pruning.models"
        )
    replay(model, [removals], example)
    return removals
