"""The last layer of a network: the one that another count of classes makes another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from winnow.errors import WinnowError


def head_of(model: nn.Module, image: Tensor, label: str) -> str:
    """Return the name of the last layer with weights that runs in inference.

    Args:
        image: float32 [1, C, H, W].
        label: begins the error.

    Raises:
        WinnowError: the network is one layer, or none that is a module.
    """
    begun: list[str] = []

    def note(name: str) -> Callable[[nn.Module, object], None]:
        return lambda _module, _arguments: begun.append(name)

    layers = {name: module for name, module in model.named_modules() if _weighs(module)}
    hooks = [module.register_forward_pre_hook(note(name)) for name, module in layers.items()]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(image)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    last = begun[-1].partition(".parametrizations.")[0] if begun else ""
    if not last:
        raise WinnowError(f"{label}: its last layer is no module of its own; make it one, as torch.nn.Linear")
    return last


def inside(name: str, module: str) -> bool:
    """Whether a parameter, buffer or module is a module, or in it."""
    return f"{name}.".startswith(f"{module}.")


def _weighs(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
