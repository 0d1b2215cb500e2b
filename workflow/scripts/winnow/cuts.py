"""A cut is right if the narrow network computes what the wide one computes once nobody reads the removed channels.

Held against every cut that is made: whatever is normalized, reshaped or attended to together with the removed channels
would show here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winnow.copies import copied
from winnow.errors import WinnowError
from winnow.narrowing import Removal, dependencies

log = logging.getLogger(__name__)
_TOLERANCE = 1e-3  # of the largest logit: sums in another order
_LINE = 160  # characters
_IMAGES = 2


def fits(model: nn.Module, example: Tensor, keep: Mapping[str, Tensor]) -> str | None:
    """Try a cut on a copy of a network.

    Args:
        model: in inference mode on the CPU; it is not changed.
        example: float32 [1, C, H, W].
        keep: bool [width] by the root of a group (`channels.ChannelGroup`).

    Returns:
        Why the narrow network is wrong; None if it is right.
    """
    wide, narrow = copied(model), copied(model)
    try:
        _cut(narrow, wide, example, keep)
        reason = _difference(wide, narrow, example)
        narrow.train()(torch.randn(_IMAGES, *example.shape[1:]))  # auxiliary heads read what inference does not show
        return reason
    except Exception as error:  # networks and torch-pruning raise whatever a wrong size provokes
        log.debug("a trial cut of %s failed", ", ".join(keep), exc_info=True)
        return f"the network does not run without them ({type(error).__name__}: {_first_line(error)})"


def check_cut(model: nn.Module, example: Tensor, keep: Mapping[str, Tensor], run: str) -> list[Removal]:
    """Cut a network in place and check it.

    Returns:
        What was removed, to be repeated by `narrowing.replay`.

    Raises:
        WinnowError: the narrow network does not run, or computes something else.
    """
    wide = copied(model)
    try:
        removals = _cut(model, wide, example, keep)
        reason = _difference(wide, model, example)
    except Exception as error:  # see `fits`
        log.debug("cut of %s failed", ", ".join(keep), exc_info=True)
        reason = f"it does not run ({type(error).__name__}: {_first_line(error)})"
    if reason:
        raise WinnowError(
            f"{run}: without the removed channels the network is not the same: {reason}; use structure unstructured, "
            "or leave this network out of pruning.models"
        )
    return removals


@torch.no_grad()
def _cut(narrow: nn.Module, wide: nn.Module, example: Tensor, keep: Mapping[str, Tensor]) -> list[Removal]:
    """Remove channels from `narrow`, and let no layer of `wide` read them."""
    graph = dependencies(narrow, example)
    twins = dict(zip(narrow.modules(), wide.modules(), strict=True))
    originals = {module: _positions(module) for module in twins}
    for root, mask in keep.items():
        places = (~mask).nonzero().flatten().tolist()
        if not places:
            continue
        module = narrow.get_submodule(root)
        group = graph.get_pruning_group(module, graph.get_pruner_of_module(module).prune_out_channels, places)
        read: dict[nn.Module, set[int]] = {}
        for item in group:
            target = item.dep.target.module
            if graph.is_in_channel_pruning_fn(item.dep.handler) and _reads(target):
                read.setdefault(target, set()).update(item.idxs)
        for target, columns in read.items():
            gone = torch.zeros(len(originals[target]), dtype=torch.bool)
            gone[list(columns)] = True
            _silence(twins[target], originals[target][gone])
            originals[target] = originals[target][~gone]
        group.prune()
    return [(name, outputs, [int(place) for place in places]) for name, outputs, places in graph.pruning_history()]


def _reads(module: nn.Module) -> bool:
    """Whether a layer sums over its input channels; a depthwise convolution passes each on."""
    if isinstance(module, nn.Linear):
        return True
    return isinstance(module, nn.modules.conv._ConvNd) and not (
        module.groups > 1 and module.groups == module.in_channels
    )


def _positions(module: nn.Module) -> Tensor:
    """Number the input channels of a layer that reads them."""
    if not _reads(module):
        return torch.zeros(0, dtype=torch.long)
    return torch.arange(module.in_features if isinstance(module, nn.Linear) else module.in_channels)


def _silence(layer: nn.Module, places: Tensor) -> None:
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        layer.weight[places] = 0
    else:
        layer.weight[:, places] = 0


@torch.no_grad()
def _difference(wide: nn.Module, narrow: nn.Module, example: Tensor) -> str | None:
    images = torch.randn(_IMAGES, *example.shape[1:], generator=torch.Generator().manual_seed(0))
    expected, found = wide.eval()(images), narrow.eval()(images)
    largest = float(expected.abs().max())
    if not float((expected - found).abs().max()) <= _TOLERANCE * max(largest, torch.finfo(torch.float32).tiny):
        return "what is computed beside them depends on them"
    return None


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LINE]
