"""Which layers lose channels together, and which cannot lose any, each with the reason.

Found in torch-pruning's graph of dependencies (Fang et al. 2023, DepGraph), and believed after a trial: a group whose
removal changes anything else (`cuts.fault`) is left alone.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import WinnowError
from winnow.models.narrowing import dependencies
from winnow.models.user_code import cause_of
from winnow.prune.cuts import fault

log = logging.getLogger(__name__)
PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_FIXED = {  # kinds of layers that keep the channels of their outputs
    nn.modules.conv._ConvTransposeNd: "a transposed convolution",
    nn.MultiheadAttention: "attention, whose heads have a fixed size",
    nn.RNNBase: "a recurrent layer",
}
_NORMALIZING = (nn.LayerNorm, nn.GroupNorm)
_NAMED = 3  # layers that an error names of each reason


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

    @property
    def layers(self) -> list[str]:
        return list(dict.fromkeys(layer for layer, _, _ in self.members))


@dataclass(frozen=True)
class ChannelGroups:
    """The groups of a network that can lose channels, and the layers that cannot, each with the reason."""

    groups: list[ChannelGroup]
    left_alone: dict[str, str]


def channel_groups(
    model: nn.Module, example: Tensor, prunable: Iterable[str], spared: Mapping[str, str], run: str
) -> ChannelGroups:
    """Find the groups of a network that can lose channels.

    A group is left alone if one of its layers is, or if the network without some of its channels does not compute what
    the wide one computes with their values set to zero.

    Args:
        model: in inference mode on the CPU.
        example: float32 [1, C, H, W].
        prunable: layers that may lose channels.
        spared: reasons of those that may not.

    Raises:
        WinnowError: nothing to prune.
    """
    try:
        finder = _Finder(model, example, list(prunable), spared)
    except WinnowError as error:
        raise WinnowError(f"{run}: {error}; use structure unstructured for this network") from error
    groups = finder.fitting(list(finder.candidates()), [])
    left_alone = finder.all_left_alone(groups)
    if not groups:
        raise WinnowError(
            f"{run}: no layer can lose channels ({_by_reason(left_alone)}); use structure unstructured, or leave this "
            "network out of pruning.models"
        )
    return ChannelGroups(groups, left_alone)


class _Finder:
    def __init__(self, model: nn.Module, example: Tensor, prunable: list[str], spared: Mapping[str, str]) -> None:
        self.model, self.example, self.prunable, self.spared = model, example, prunable, spared
        self.names = {module: name for name, module in model.named_modules()}
        self.graph = dependencies(model, example)
        self.left_alone: dict[str, str] = {}
        self.hints: dict[str, str] = {}
        uses: dict[int, int] = {}
        for module in model.modules():
            for parameter in module.parameters(recurse=False):
                uses[id(parameter)] = uses.get(id(parameter), 0) + 1
        self.tied = {
            name
            for module, name in self.names.items()
            if any(uses[id(parameter)] > 1 for parameter in module.parameters(recurse=False))
        }

    def candidates(self) -> Iterator[ChannelGroup]:
        """Yield the groups that nothing in their structure forbids."""
        visited: set[nn.Module] = set()
        for module in list(self.graph.module2node):
            if module in visited or module not in self.names or not isinstance(module, PRUNABLE):
                continue
            try:
                remove = self.graph.get_pruner_of_module(module).prune_out_channels
                group = self.graph.get_pruning_group(module, remove, list(range(len(module.weight))))
            except Exception as error:  # torch-pruning raises whatever an unknown operator provokes
                log.debug("no group of channels from %s", self.names[module], exc_info=True)
                self.leave([self.names[module]], f"its readers cannot be followed ({cause_of(error)})")
                continue
            outputs = [item for item in group if self.graph.is_out_channel_pruning_fn(item.dep.handler)]
            visited |= {item.dep.target.module for item in outputs}
            members = [
                (self.names[item.dep.target.module], torch.tensor(item.idxs), torch.tensor(item.root_idxs))
                for item in outputs
                if isinstance(item.dep.target.module, PRUNABLE)
            ]
            found = ChannelGroup(members[0][0], len(group[0].idxs), members)
            if reason := self._forbidden(group, found.layers):
                self.leave(found.layers, reason)
            else:
                self.hints[found.root] = _rearranged(group)
                yield found

    def _forbidden(self, group: Any, layers: list[str]) -> str | None:
        for item in group:
            module = item.dep.target.module
            name, loses = self.names.get(module, ""), self.graph.is_out_channel_pruning_fn(item.dep.handler)
            if loses and name in self.spared:
                return f"their channels are those of {name}, {self.spared[name]}"
            if isinstance(module, PRUNABLE) and getattr(module, "groups", 1) > 1 and not _depthwise(module):
                return "their channels are those of a grouped convolution"
            if (loses or not isinstance(module, nn.modules.conv._ConvTransposeNd)) and (reason := _fixed(module)):
                return f"their channels are those of {reason}"
            if isinstance(module, _NORMALIZING):
                return f"{name} normalizes over these channels"
            if isinstance(module, nn.modules.instancenorm._InstanceNorm) and module.track_running_stats:
                return f"{name} is an instance norm with running statistics"  # torch-pruning cuts all but these
            if name in self.tied:
                return f"{name} shares its parameters with another layer"
            if name and isinstance(getattr(module, "weight", None), Tensor) and "weight" not in module._parameters:
                return f"the weight of {name} is a function of its parameters"
        unknown = [name for name in layers if name not in self.prunable]
        return "only takes part in training" if unknown else None

    def leave(self, layers: Iterable[str], reason: str) -> None:
        for layer in layers:
            self.left_alone.setdefault(layer, self.spared.get(layer, reason))

    def fitting(self, groups: list[ChannelGroup], fit: list[ChannelGroup]) -> list[ChannelGroup]:
        """Return the groups that stand a trial together with those known to fit.

        All at once if they do, else divided until those that do not are found.
        """
        trial = {group.root: _some(group) for group in (*fit, *groups) if group.width > 1}
        reason = fault(self.model, trial, self.example) if groups and trial else None
        if reason is None:
            return groups
        if len(groups) == 1:
            hint = self.hints[groups[0].root]
            self.leave(groups[0].layers, f"{reason}; {hint}" if hint else reason)
            return []
        middle = len(groups) // 2
        first = self.fitting(groups[:middle], fit)
        return first + self.fitting(groups[middle:], fit + first)

    def all_left_alone(self, groups: Iterable[ChannelGroup]) -> dict[str, str]:
        """Return the reasons in the order of the network, those of layers that are in no group included."""
        for module, name in self.names.items():
            if reason := _fixed(module):
                self.leave([name], reason)
        grouped = {layer for group in groups for layer in group.layers}
        unseen = [name for name in self.prunable if name not in grouped and not self._is_part_of_another(name)]
        self.leave(unseen, "its weight is read by another layer, as in attention")
        order = {name: place for place, name in enumerate(self.names.values())}
        return dict(sorted(self.left_alone.items(), key=lambda entry: order.get(entry[0], len(order))))

    def _is_part_of_another(self, name: str) -> bool:
        return any(name.startswith(f"{layer}.") for layer in self.left_alone)


def _by_reason(left_alone: Mapping[str, str]) -> str:
    layers: dict[str, list[str]] = {}
    for layer, reason in left_alone.items():
        layers.setdefault(reason, []).append(layer)
    return "; ".join(
        f"{', '.join(names[:_NAMED])}{f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''}: {reason}"
        for reason, names in layers.items()
    )


def _fixed(module: nn.Module) -> str | None:
    return next((reason for kind, reason in _FIXED.items() if isinstance(module, kind)), None)


def _depthwise(module: nn.Module) -> bool:
    return module.groups == module.in_channels == module.out_channels


def _some(group: ChannelGroup) -> Tensor:
    """Choose channels to keep in a trial: without a pattern, so that no reshape happens to fit them."""
    order = torch.randperm(group.width, generator=torch.Generator().manual_seed(zlib.crc32(group.root.encode())))
    return order < max(1, round(0.6 * group.width))


def _rearranged(group: Any) -> str:
    """Say what moves the channels of a group, should they not be where torch-pruning takes them to be."""
    steps = [item.dep.target.grad_fn for item in group if hasattr(item.dep.target.grad_fn, "name")]
    named = [(step.name(), step) for step in steps]
    if any(name.startswith("ConstantPadNd") and any(step._saved_pad[4:]) for name, step in named):
        return "padding adds channels to them"
    if any(name.startswith("PixelShuffle") for name, _ in named):
        return "a pixel shuffle makes places of them"
    if any(len(getattr(step, kept, ())) >= 5 for _, step in named for kept in ("_saved_self_sym_sizes", "_saved_dims")):
        return "a reshape divides them, as channel shuffles and attention heads do"
    if any(name.startswith(("Softmax", "LogSoftmax")) for name, _ in named):
        return "a softmax is taken on the way"
    return ""
