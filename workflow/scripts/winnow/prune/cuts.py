"""A cut is right if the narrow network computes what the wide one computes with every removed value set to zero.

Held against every cut that is made. Both networks get the same random values of ordinary size in double precision, so
that nothing hides behind channels that happen to be dead or scaled to nothing: what is normalized, reshaped, shuffled
or attended to together with the removed channels shows.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from winnow.models.copies import copied
from winnow.models.narrowing import Removal, as_if_training, narrowed
from winnow.models.user_code import cause_of, running_layer

log = logging.getLogger(__name__)
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest output: sums in another order
_IMAGES = 2


def removals_of(keep: Mapping[str, Tensor]) -> list[Removal]:
    """Return the removals that leave some channels of groups.

    Args:
        keep: bool [width] by the root of a group (`channel_groups.ChannelGroup`).
    """
    return [(root, True, (~mask).nonzero().flatten().tolist()) for root, mask in keep.items() if not mask.all()]


def fault(model: nn.Module, keep: Mapping[str, Tensor], example: Tensor) -> str | None:
    """Try a cut on a copy of a network.

    Args:
        model: in inference mode on the CPU; it is not changed.
        keep: bool [width] by the root of a group.
        example: float32 [1, C, H, W].

    Returns:
        Why the narrow network is wrong; None if it is right.
    """
    try:
        narrow, places = narrowed(model, [removals_of(keep)], example)
    except Exception as error:  # torch-pruning raises whatever an unknown operator provokes
        log.debug("a cut of %s failed", ", ".join(keep), exc_info=True)
        return f"they cannot be cut ({cause_of(error)})"
    for root, mask in keep.items():
        if (left := _outputs(narrow.get_submodule(root))) != int(mask.sum()):
            return f"they depend on each other: {left} are left where {int(mask.sum())} should be"
    if _ties(narrow) != _ties(model):
        return "a layer among them shares its parameters with another"
    wide = _with_random_values(model, next(narrow.parameters()).dtype)
    try:
        whole = _run(wide, example)
    except Exception as error:
        log.debug("the network does not run with random weights", exc_info=True)
        return f"the network does not run with random weights ({cause_of(error)})"
    _silence(wide, narrow, places)
    expected = _run(wide, example)
    if not all(output.isfinite().all() for output in whole) or _same(whole, expected):
        return "with random weights no output shows them"
    return _difference(expected, narrow, example) or _difference_in_training(wide, narrow, example)


def _outputs(layer: nn.Module) -> int:
    """Return the number of output channels of a linear or convolution."""
    return int(getattr(layer, "out_features" if isinstance(layer, nn.Linear) else "out_channels"))


@torch.no_grad()
def _with_random_values(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy with values that neither die out nor explode from layer to layer."""
    model, random = copied(model).eval().to(dtype), torch.Generator().manual_seed(0)
    statistics = [value for name, value in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    for value in (*model.parameters(), *statistics):
        if value.dim() > 1:
            scale = math.sqrt(2 / max(1, value[0].numel()))
            value.copy_(scale * torch.randn(value.shape, generator=random, dtype=dtype))
        else:  # biases, scales, variances
            value.copy_(0.5 + torch.rand(value.shape, generator=random, dtype=dtype))
    return model


@torch.no_grad()
def _silence(wide: nn.Module, narrow: nn.Module, places: Mapping[str, Tensor]) -> None:
    """Give `narrow` the values of `wide`, and set those that it has not to zero in `wide`."""
    taken = narrow.state_dict()
    for name, value in wide.state_dict().items():
        if name in places:
            values = value.flatten()
            taken[name].copy_(values[places[name]])
            kept = torch.zeros_like(values)
            kept[places[name].flatten()] = values[places[name].flatten()]
            value.copy_(kept.view(value.shape))


def _difference(expected: list[Tensor], narrow: nn.Module, example: Tensor) -> str | None:
    try:
        found = _run(narrow, example)
    except Exception as error:  # a network raises whatever a wrong size provokes
        log.debug("a narrow network does not run", exc_info=True)
        return f"{running_layer(error, narrow) or 'the network'} does not run without them ({cause_of(error)})"
    if [one.shape for one in expected] != [one.shape for one in found]:
        return "they are outputs of the network"
    return None if _same(expected, found) else "what is computed beside them depends on them"


def _difference_in_training(wide: nn.Module, narrow: nn.Module, example: Tensor) -> str | None:
    """Compare further outputs that networks have while they train, unless something random is in them."""
    try:
        expected = _seeded_run(0, as_if_training(wide), example)
    except Exception:  # it is no network that trains on these images: not for this check to say
        log.debug("the network does not run as in training", exc_info=True)
        return None
    try:
        found = _seeded_run(0, as_if_training(narrow), example)
    except Exception as error:
        log.debug("a narrow network does not train", exc_info=True)
        return f"{running_layer(error, narrow) or 'the network'} does not train without them ({cause_of(error)})"
    if [one.shape for one in expected] != [one.shape for one in found]:
        return "they are outputs of the network while it trains"
    if len(expected) > 1 and not _same(expected, found) and _same(expected, _seeded_run(1, wide, example)):
        return "what is computed beside them while it trains depends on them"
    return None


def _seeded_run(seed: int, model: nn.Module, example: Tensor) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _run(model, example)


@torch.no_grad()
def _run(model: nn.Module, example: Tensor) -> list[Tensor]:
    dtype = next(model.parameters()).dtype
    images = torch.randn(_IMAGES, *example.shape[1:], generator=torch.Generator().manual_seed(0), dtype=dtype)
    return [leaf for leaf in tree_leaves(model(images)) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _same(expected: list[Tensor], found: list[Tensor]) -> bool:
    """Whether outputs agree; outputs that are not finite agree with nothing."""
    return all(
        float((one - other).abs().max()) <= _TOLERANCE[one.dtype] * float(one.abs().max())
        for one, other in zip(expected, found, strict=True)
    )


def _ties(model: nn.Module) -> list[tuple[str, ...]]:
    """Return the names of parameters that have several."""
    names: dict[int, tuple[str, ...]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)] = (*names.get(id(parameter), ()), name)
    return sorted(shared for shared in names.values() if len(shared) > 1)
