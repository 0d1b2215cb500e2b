"""Cuts: which channels a network has lost, stored with its weights and repeated on other weights.

A cut is kept as torch-pruning's own history (Fang et al. 2023, DepGraph), one list for each round of
pruning, as JSON in the header of the weights. So a narrow network loads by building the wide one and cutting
it the same way.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
import torch_pruning
from torch import Tensor, nn

from winnow.errors import WinnowError
from winnow.files import safetensors_metadata

Removal = tuple[str, bool, list[int]]
"""(layer, whether its output channels go, positions among those the layer has at that point)."""
Cut = list[list[Removal]]
"""The removals of each round, in their order; empty for a network that is as wide as it was built."""

_KEY = "removed_channels"


def dependencies(model: nn.Module, example: Tensor) -> torch_pruning.DependencyGraph:
    """Trace which layers share their channels; the network is in inference mode on the CPU.

    Raises:
        WinnowError: torch-pruning cannot trace it.
    """
    try:
        with torch.enable_grad():
            graph = torch_pruning.DependencyGraph().build_dependency(model, example, verbose=False)
    except Exception as error:  # torch-pruning raises whatever an unknown operator provokes
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise WinnowError(f"its layers cannot be traced for the removal of channels ({reason})") from error
    most = max((max(parameter.shape, default=0) for parameter in model.parameters()), default=0)
    for node in graph.module2node.values():
        for dependency in node.dependencies:
            dependency.index_mapping = _Bounded(dependency.index_mapping, most)
    return graph


class _Bounded(list):
    """Mappings of channel numbers that end where torch-pruning would multiply them without end.

    Reshapes that it does not understand, as those of window attention, fill the memory otherwise.
    """

    def __init__(self, mappings: Sequence[Callable | None], most: int):
        super().__init__(mappings)
        self._most = most

    def __iter__(self) -> Iterator[Callable | None]:
        return (mapping and partial(self._apply, mapping) for mapping in super().__iter__())

    def _apply(self, mapping: Callable, channels: list) -> list:
        mapped = mapping(channels)
        if len(mapped) > self._most:
            raise WinnowError("a reshape mixes them with more channels than any layer has")
        return mapped


def replay(model: nn.Module, cut: Cut, example: Tensor) -> None:
    """Remove the channels of a cut from a network as wide as it was built, in place.

    Args:
        example: float32 [1, C, H, W].

    Raises:
        WinnowError: the cut was made on another network.
    """
    training = model.training
    model.eval()
    try:
        for removals in cut:
            graph = dependencies(model, example)
            graph.load_pruning_history([(name, outputs, list(places)) for name, outputs, places in removals])
    except (AttributeError, ValueError, IndexError, RuntimeError) as error:
        raise WinnowError(f"removed channels do not fit the network ({error}); prune it again") from error
    model.train(training)


def kept_places(model: nn.Module, cut: Cut, example: Tensor) -> dict[str, Tensor]:
    """Return where in the wide network every value of the narrow one comes from.

    Args:
        model: the wide network; it is not changed.

    Returns:
        int64 by name in the state dict, in the shape of the narrow network: flat positions in the wide one.
    """
    model = copy.deepcopy(model).double()  # exact up to 2^53, torch.float32 only up to 2^24
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():  # from 1 on: tracing takes roots of variances
                value.copy_(torch.arange(1, value.numel() + 1).view(value.shape))
    replay(model, cut, example.double())
    return {name: value.long() - 1 for name, value in model.state_dict().items() if value.is_floating_point()}


def cut_metadata(cut: Cut) -> dict[str, str]:
    """Return what `save_weights` puts into the header, so that `read_cut` finds it."""
    return {_KEY: json.dumps(cut, separators=(",", ":"))} if cut else {}


def read_cut(path: str | Path) -> Cut:
    """Return the cut that a file of weights was stored with; empty for a wide network.

    Raises:
        WinnowError: the header is damaged.
    """
    text = safetensors_metadata(path).get(_KEY, "[]")
    try:
        return [[_removal(*entry) for entry in removals] for removals in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise WinnowError(
            f"{path}: its list of removed channels is damaged ({error}); delete it and run again"
        ) from error


def _removal(layer: str, outputs: bool, places: Sequence[int]) -> Removal:
    return str(layer), bool(outputs), [int(place) for place in places]
