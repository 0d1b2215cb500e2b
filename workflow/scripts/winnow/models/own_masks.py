"""Masks that a network brings along from torch.nn.utils.prune, as parametrizations.

torch's own form, a tensor that a hook computes, can be neither copied after a training step nor exported as it is.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize, prune


class KeptMask(nn.Module):
    """Multiplies a parameter by a mask of its shape and type, in training and inference."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


def keep_masks(model: nn.Module) -> None:
    """Turn the masks of torch.nn.utils.prune into parametrizations, in place; what the network computes stays."""
    for module in list(model.modules()):
        hooks = [h for h in module._forward_pre_hooks.values() if isinstance(h, prune.BasePruningMethod)]
        for name in [hook._tensor_name for hook in hooks]:
            mask = getattr(module, f"{name}_mask").clone()
            prune.remove(module, name)
            parametrize.register_parametrization(module, name, KeptMask(mask))
