"""Which channels go: groups of layers that share channels are ranked, cut, and stay a network that runs.

Filters by their norm: Li et al. 2017; coupled layers as one group: Fang et al. 2023 (DepGraph, by
torch-pruning).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.errors import WinnowError
from winnow.narrowing import Removal, dependencies

_MAGNITUDE = ("l1", "l2")


@dataclass(frozen=True)
class ChannelGroup:
    """Layers whose output channels can only be removed together.

    Attributes:
        root: name of the layer that stands for the group.
        width: number of channels.
        members: (layer, channel of the group that each of these output channels is) of every weighted layer.
    """

    root: str
    width: int
    members: list[tuple[str, Tensor, Tensor]]


def channel_groups(model: nn.Module, example: Tensor, prunable: Iterable[str], run: str) -> list[ChannelGroup]:
    """Find the groups of a network; a group is left out if one of its layers is not `prunable`.

    Args:
        model: in inference mode on the CPU.
        example: float32 [1, C, H, W].

    Raises:
        WinnowError: a grouped convolution that is not depthwise, or nothing to prune.
    """
    prunable, names = set(prunable), {module: name for name, module in model.named_modules()}
    for module, name in names.items():
        if isinstance(module, nn.Conv2d) and 1 < module.groups < module.out_channels:
            raise WinnowError(
                f"{run}: layer {name} is a grouped convolution, which cannot lose single channels; "
                "use structure unstructured, or leave this network out of pruning.models"
            )
    graph, kinds, groups = dependencies(model, example), (nn.Conv2d, nn.Linear), []
    for group in graph.get_all_groups(root_module_types=list(kinds)):
        members = [
            (names[item.dep.target.module], torch.tensor(item.idxs), torch.tensor(item.root_idxs))
            for item in group
            if isinstance(item.dep.target.module, kinds) and graph.is_out_channel_pruning_fn(item.dep.handler)
        ]
        if all(name in prunable for name, _, _ in members):
            groups.append(ChannelGroup(members[0][0], len(group[0].idxs), members))
    if not groups:
        raise WinnowError(f"{run}: no layer can lose channels; see pruning.skip_layers, or use structure unstructured")
    return groups


def channel_scores(groups: Iterable[ChannelGroup], scores: Mapping[str, Tensor], criterion: str) -> dict[str, Tensor]:
    """Sum the scores of the weights of every channel, over all layers of its group.

    Magnitudes are divided by their mean over the group: norms of wide and of narrow filters do not compare.

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
        if criterion == "l2":
            total = total.sqrt()
        if criterion in _MAGNITUDE:
            total = total / total.mean().clamp(min=torch.finfo(total.dtype).tiny)
        result[group.root] = total
    return result


def remove_channels(model: nn.Module, example: Tensor, keep: Mapping[str, Tensor], run: str) -> list[Removal]:
    """Remove output channels and whatever depends on them, in place.

    Args:
        model: in inference mode on the CPU.
        keep: bool [width] by the root of a group, at least one True.

    Returns:
        What was removed, to be repeated by `narrowing.replay`.

    Raises:
        WinnowError: the narrow network does not run.
    """
    graph = dependencies(model, example)
    for root, mask in keep.items():
        places = (~mask).nonzero().flatten().tolist()
        if places:
            module = model.get_submodule(root)
            remove = graph.get_pruner_of_module(module).prune_out_channels
            graph.get_pruning_group(module, remove, places).prune()
    try:
        with torch.no_grad():
            model(example)
    except RuntimeError as error:
        raise WinnowError(
            f"{run}: the network does not run without the removed channels ({str(error).splitlines()[0]}); shortcuts "
            "that pad channels are a reason (set shortcut: projection); else use structure unstructured"
        ) from error
    return [(name, outputs, [int(place) for place in places]) for name, outputs, places in graph.pruning_history()]
