"""Copies of networks, also of those whose hooks compute weights."""

from __future__ import annotations

import copy

from torch import Tensor, nn


def copied(model: nn.Module) -> nn.Module:
    """Copy a network; what torch.nn.utils.prune and weight_norm have computed is copied by value."""
    computed = (value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor))
    return copy.deepcopy(model, {id(value): value.detach().clone() for value in computed if not value.is_leaf})
