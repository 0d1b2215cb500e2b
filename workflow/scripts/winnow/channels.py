"""Which channels go: groups of layers that share channels are ranked, cut, and stay a network that runs.

Filters by their norm: Li et al. 2017; coupled layers as one group: Fang et al. 2023 (DepGraph, by
torch-pruning).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from winnow.cuts import check_cut, fits
from winnow.errors import WinnowError
from winnow.narrowing import Removal, dependencies

log = logging.getLogger(__name__)
_MAGNITUDE = ("l1", "l2")
PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMALIZING = (nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)
_REASON = 160  # characters


@dataclass(frozen=True)
class ChannelGroup:
    """Layers whose output channels can only be removed together.

    Attributes:
        root: name of the layer that stands for the group.
        width: number of channels.
        members: (layer, its output channels, channel of the group that each of these is) of every weighted layer.
    """

    root: str
    width: int
    members: list[tuple[str, Tensor, Tensor]]


@dataclass(frozen=True)
class ChannelGroups:
    """The groups of a network that can lose channels, and the layers that cannot, each with the reason."""

    groups: list[ChannelGroup]
    left_alone: dict[str, str]


def channel_groups(
    model: nn.Module, example: Tensor, prunable: Iterable[str], spared: Mapping[str, str], run: str
) -> ChannelGroups:
    """Find the groups of a network that can lose channels.

    A group is left alone if one of its layers is, or if the network without half of its channels does not compute what
    the wide one computes once nobody reads them (`cuts.fits`).

    Args:
        model: in inference mode on the CPU.
        example: float32 [1, C, H, W].
        prunable: layers that may lose channels.
        spared: reasons of those that may not.

    Raises:
        WinnowError: nothing to prune.
    """
    try:
        finder = _Finder(model, example, set(prunable), spared)
    except WinnowError as error:
        raise WinnowError(f"{run}: {error}; use structure unstructured for this network") from error
    groups = _fitting(finder, list(finder.candidates()))
    if not groups:
        reasons = "; ".join(f"{layer}: {reason}" for layer, reason in finder.left_alone.items())
        raise WinnowError(
            f"{run}: no layer can lose channels ({reasons}); use structure unstructured, or leave this network out of "
            "pruning.models"
        )
    return ChannelGroups(groups, finder.left_alone)


class _Finder:
    def __init__(self, model: nn.Module, example: Tensor, prunable: set[str], spared: Mapping[str, str]):
        self.model, self.example, self.prunable, self.spared = model, example, prunable, spared
        self.names = {module: name for name, module in model.named_modules()}
        self.graph = dependencies(model, example)
        self.left_alone: dict[str, str] = {}
        uses: dict[int, int] = {}
        for module in model.modules():
            for parameter in module.parameters(recurse=False):
                uses[id(parameter)] = uses.get(id(parameter), 0) + 1
        self.tied = {name for module, name in self.names.items() if self._shares(module, uses)}

    @staticmethod
    def _shares(module: nn.Module, uses: Mapping[int, int]) -> bool:
        return any(uses[id(parameter)] > 1 for parameter in module.parameters(recurse=False))

    def candidates(self) -> Iterator[ChannelGroup]:
        """Yield the groups that nothing in their structure forbids."""
        visited: set[nn.Module] = set()
        for module in list(self.graph.module2node):
            if module in visited or module not in self.names:
                continue
            if isinstance(module, _TRANSPOSED):
                self.leave([self.names[module]], "a transposed convolution")
            if not isinstance(module, PRUNABLE):
                continue
            try:
                remove = self.graph.get_pruner_of_module(module).prune_out_channels
                group = self.graph.get_pruning_group(module, remove, list(range(_width(module))))
            except Exception as error:  # torch-pruning raises whatever an unknown operator provokes
                log.debug("no group of channels from %s", self.names[module], exc_info=True)
                self.leave([self.names[module]], f"its readers cannot be followed ({_line(error)})")
                continue
            outputs = [item for item in group if self.graph.is_out_channel_pruning_fn(item.dep.handler)]
            visited |= {item.dep.target.module for item in outputs}
            members = [
                (self.names[item.dep.target.module], torch.tensor(item.idxs), torch.tensor(item.root_idxs))
                for item in outputs
                if isinstance(item.dep.target.module, PRUNABLE)
            ]
            layers = list(dict.fromkeys(name for name, _, _ in members))
            reason = self._forbidden(group, layers)
            if reason:
                self.leave(layers, reason)
            else:
                yield ChannelGroup(layers[0], len(group[0].idxs), members)

    def _forbidden(self, group: Any, layers: list[str]) -> str | None:
        for item in group:
            module = item.dep.target.module
            name, loses = self.names.get(module, ""), self.graph.is_out_channel_pruning_fn(item.dep.handler)
            if loses and name in self.spared:
                reason = self.spared[name]
                return reason if [name] == layers else f"shares its channels with {name}, {reason}"
            if isinstance(module, PRUNABLE) and getattr(module, "groups", 1) > 1 and not _depthwise(module):
                return f"{name} is a grouped convolution"
            if loses and isinstance(module, _TRANSPOSED):
                return f"{name} is a transposed convolution"
            if isinstance(module, nn.MultiheadAttention):
                return f"the heads of {name} have a fixed size"
            if isinstance(module, _NORMALIZING):
                return f"{name} normalizes over these channels"
            if name in self.tied:
                return f"{name} shares its parameters with another layer"
            if torch.nn.utils.parametrize.is_parametrized(module) and not isinstance(module, nn.Sequential):
                return f"the weight of {name} is a function of its parameters"
        unknown = [name for name in layers if name not in self.prunable]
        return f"{unknown[0]} is not among the layers that are pruned" if unknown else None

    def leave(self, layers: Iterable[str], reason: str) -> None:
        for layer in layers:
            self.left_alone.setdefault(layer, reason)

    def trial(self, groups: list[ChannelGroup]) -> str | None:
        """Return why the network does not compute the same without half of the channels of groups; None if it does."""
        keep = {group.root: torch.arange(group.width) % 2 == 0 for group in groups}
        return fits(self.model, self.example, keep)


def _fitting(finder: _Finder, groups: list[ChannelGroup]) -> list[ChannelGroup]:
    """Return the groups that stand a trial: all at once if they do, else divided until those that don't are found."""
    groups = [group for group in groups if group.width > 1]
    reason = finder.trial(groups) if groups else None
    if reason is None:
        return groups
    if len(groups) == 1:
        finder.leave(dict.fromkeys(name for name, _, _ in groups[0].members), reason)
        return []
    middle = len(groups) // 2
    return _fitting(finder, groups[:middle]) + _fitting(finder, groups[middle:])


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
        WinnowError: the narrow network computes something else than the wide one whose removed channels nobody reads.
    """
    return check_cut(model, example, keep, run)


def _width(module: nn.Module) -> int:
    return module.out_features if isinstance(module, nn.Linear) else module.out_channels


def _depthwise(module: nn.Module) -> bool:
    return module.groups == module.in_channels == module.out_channels


def _line(error: Exception) -> str:
    if isinstance(error, WinnowError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_REASON].rstrip(": ")
