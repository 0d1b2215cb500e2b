"""Which layers can be pruned: convolutions and linears, in the order they are executed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from winnow.errors import WinnowError

FIRST, CLASSIFIER = "first", "classifier"


def weighted_layers(model: nn.Module, example: Tensor) -> dict[str, nn.Module]:
    """Return every convolution and linear by its name in the network, in the order of execution.

    Batch norms and biases are no part of this: they are never pruned.

    Args:
        example: any input of the network.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    names = {module: name for name, module in model.named_modules() if isinstance(module, kinds)}
    executed: dict[str, nn.Module] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, _: executed.setdefault(names[module], module) and None)
        for module in names
    ]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(example)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return executed


def prunable_layers(layers: dict[str, nn.Module], skip: Sequence[str], run: str) -> dict[str, nn.Module]:
    """Leave out the layers to be spared.

    Args:
        skip: `first`, `classifier` (the last that is executed), or names.

    Raises:
        WinnowError: a name that the network does not have, or nothing is left.
    """
    names = list(layers)
    special = {FIRST: names[0], CLASSIFIER: names[-1]}
    for name in skip:
        if name not in special and name not in layers:
            raise WinnowError(
                f"{run}: pruning.skip_layers lists {name!r}, which this network does not have; "
                f"its layers are {', '.join(names)}"
            )
    spared = {special.get(name, name) for name in skip}
    left = {name: layer for name, layer in layers.items() if name not in spared}
    if not left:
        raise WinnowError(f"{run}: pruning.skip_layers leaves no layer to prune; remove an entry")
    return left
