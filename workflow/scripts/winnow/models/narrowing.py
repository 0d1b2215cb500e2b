"""Cuts: which channels a network has lost, stored with its weights and repeated on other weights.

A cut is kept as torch-pruning's own history (Fang et al. 2023, DepGraph), one list for each round of
pruning, as JSON in the header of the weights. So a narrow network loads by building the wide one and cutting
it the same way.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from winnow.errors import WinnowError
from winnow.files import safetensors_metadata
from winnow.models.copies import copied
from winnow.models.user_code import cause_of

Removal = tuple[str, bool, list[int]]
"""(layer, whether its output channels go, positions among those the layer has at that point)."""
Cut = list[list[Removal]]
"""The removals of each round, in their order; empty for a network that is as wide as it was built."""
log = logging.getLogger(__name__)
_Mapping = Callable[[list[Any]], list[Any]]
_KEY = "removed_channels"
_EXACT = {torch.float64: 2**53, torch.float32: 2**24}  # whole numbers up to here are told apart


def dependencies(model: nn.Module, example: Tensor) -> torch_pruning.DependencyGraph:
    """Trace which layers share their channels; the network is in inference mode on the CPU.

    A network with further outputs while it trains, as auxiliary heads, is traced with them. `example` is float32
    [1, C, H, W].

    Raises:
        WinnowError: torch-pruning cannot trace it.
    """
    example = example.to(next((p.dtype for p in model.parameters()), example.dtype))
    fixed = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    try:
        for parameter in fixed:  # what has no gradient is not seen
            parameter.requires_grad_(True)
        run = _with_further_outputs if _has_further_outputs(model, example) else None
        with torch.enable_grad():
            graph = _WithoutFlattening() if _has_linears_on_places(model, example) else torch_pruning.DependencyGraph()
            try:
                graph.build_dependency(model, example, run, verbose=False)
            except ArithmeticError:  # torch-pruning divides by zero at the reshapes of channel shuffles
                graph = _WithoutFlattening().build_dependency(model, example, run, verbose=False)
    except Exception as error:  # torch-pruning raises whatever an unknown operator provokes
        raise WinnowError(f"its layers cannot be traced for the removal of channels ({cause_of(error)})") from error
    finally:
        for parameter in fixed:
            parameter.requires_grad_(False)
    most = max((max(parameter.shape, default=0) for parameter in model.parameters()), default=0)
    for node in graph.module2node.values():
        for dependency in node.dependencies:
            dependency.index_mapping = _Bounded(dependency.index_mapping, most)
    return graph


def as_if_training(model: nn.Module) -> nn.Module:
    """Let a network take the paths of training, in place, while its batch norms and dropouts stay in inference."""
    for module in model.modules():
        module.training = any(True for _ in module.children())
    return model


def _with_further_outputs(model: nn.Module, example: Tensor) -> list[Tensor]:
    state = {name: value.clone() for name, value in model.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[]):
            outputs = tree_leaves(as_if_training(model)(example))
    finally:
        model.eval()
        for name, value in model.named_buffers():  # norms written as functions may have taken statistics
            value.copy_(state[name])
    return [output for output in outputs if isinstance(output, Tensor) and output.requires_grad]


def _has_further_outputs(model: nn.Module, example: Tensor) -> bool:
    """Whether a network gives more than one tensor while it trains; it does not if it does not run on one image."""
    try:
        with torch.enable_grad():
            return len(_with_further_outputs(model, example)) > 1
    except Exception:
        log.debug("the network does not run as in training", exc_info=True)
        return False


@torch.no_grad()
def _has_linears_on_places(model: nn.Module, example: Tensor) -> bool:
    """Whether a linear reads more than one vector an image, so that channels come last and are not flattened."""
    found: list[bool] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: found.append(output.dim() > 2))
        for module in model.modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        model.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
    return any(found)


class _WithoutFlattening(torch_pruning.DependencyGraph):  # type: ignore[misc]  # a library without types
    """Takes no reshape for a flattening, as torch-pruning itself where linears read three dimensions, but not four."""

    @property
    def _2d_4d(self) -> bool:
        return False

    @_2d_4d.setter
    def _2d_4d(self, value: bool) -> None:
        pass


class _Bounded(list[_Mapping | None]):
    """Mappings of channel numbers that end where torch-pruning would multiply them without end.

    Reshapes that it does not understand, as those of window attention, fill the memory otherwise.
    """

    def __init__(self, mappings: Sequence[_Mapping | None], most: int) -> None:
        super().__init__(mappings)
        self._most = most

    def __iter__(self) -> Iterator[_Mapping | None]:
        return (mapping and partial(self._apply, mapping) for mapping in super().__iter__())

    def _apply(self, mapping: _Mapping, channels: list[Any]) -> list[Any]:
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
    try:
        _remove(model, cut, example)
    except Exception as error:  # torch-pruning raises whatever does not fit
        raise WinnowError(f"removed channels do not fit the network ({cause_of(error)}); prune it again") from error


def _remove(model: nn.Module, cut: Cut, example: Tensor) -> None:
    modes = [(module, module.training) for module in model.modules()]
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    model.eval()
    for removals in cut:
        graph = dependencies(model, example)
        graph.load_pruning_history([(name, outputs, list(places)) for name, outputs, places in removals])
    for module, mode in modes:
        module.training = mode
    for name, parameter in model.named_parameters():  # torch-pruning makes new ones
        parameter.requires_grad_(name not in fixed)


def precision_of(model: nn.Module, example: Tensor) -> torch.dtype:
    """Return float64, or float32 for a network with operators that are written for it alone; images [1, C, H, W]."""
    try:
        with torch.no_grad():
            copied(model).eval().double()(example.double())
        return torch.float64
    except Exception:
        log.debug("the network does not run in float64", exc_info=True)
        return torch.float32


def narrowed(model: nn.Module, cut: Cut, example: Tensor) -> tuple[nn.Module, dict[str, Tensor]]:
    """Cut a copy of a network and follow every value of it.

    Args:
        model: the wide network, on the CPU; it is not changed.
        example: float32 [1, C, H, W].

    Returns:
        The narrow network, whose values mean nothing, and where in the wide network each comes from: int64 by name in
        the state dict, in the shape of the narrow network, flat positions in the wide one.

    Raises:
        WinnowError: a layer has more values than can be told apart.
    """
    dtype = precision_of(model, example)
    model = copied(model).to(dtype)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            if value.numel() > _EXACT[dtype]:
                raise WinnowError(f"{name} has too many values for a network that runs in float32 only")
            # from 1 on: tracing takes roots of variances
            value.copy_(torch.arange(1, value.numel() + 1).view(value.shape))
    _remove(model, cut, example)
    places = {name: value.long() - 1 for name, value in model.state_dict().items() if value.is_floating_point()}
    return model, places


def kept_places(model: nn.Module, cut: Cut, example: Tensor) -> dict[str, Tensor]:
    """Return where in the wide network every value of the narrow one comes from: int64 by name (`narrowed`).

    Raises:
        WinnowError: the cut was made on another network.
    """
    try:
        return narrowed(model, cut, example)[1]
    except WinnowError:
        raise
    except Exception as error:
        raise WinnowError(f"removed channels do not fit the network ({cause_of(error)}); prune it again") from error


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
