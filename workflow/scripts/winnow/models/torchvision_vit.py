"""torchvision's VisionTransformer with the widths of DeiT-Tiny (Touvron et al. 2021), for images of any usual size."""

from __future__ import annotations

import torchvision
from torch import nn

from winnow.config.settings import ModelSettings
from winnow.errors import WinnowError
from winnow.study.task import Task

_LEAST_PATCH, _FEWEST, _MOST = 4, 4, 14  # pixels; patches along a side: 14 of 16 pixels are those of 224 x 224


def build(settings: ModelSettings, task: Task) -> nn.Module:
    """Build it with fresh weights.

    Raises:
        WinnowError: the images cannot be cut into patches.
    """
    if isinstance(task.size, tuple):
        raise WinnowError(f"model {settings.label} takes square images; set image_size of the data set")
    model = torchvision.models.VisionTransformer(
        image_size=task.size,
        patch_size=_patch(task.size, settings.label),
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        num_classes=task.classes,
    )
    if task.channels != 3:
        first = model.conv_proj
        model.conv_proj = nn.Conv2d(task.channels, first.out_channels, first.kernel_size, first.stride)
        nn.init.trunc_normal_(model.conv_proj.weight, std=(first.kernel_size[0] ** 2 * task.channels) ** -0.5)
        nn.init.zeros_(model.conv_proj.bias)
    nn.init.trunc_normal_(model.heads.head.weight, std=0.02)  # torchvision's zeros give all images the same logits
    built: nn.Module = model
    return built


def _patch(size: int, label: str) -> int:
    """Return the pixels of a patch's side: the fewest that cut the image into equal squares, and into not too many."""
    sides = [count for count in range(_MOST, _FEWEST - 1, -1) if size % count == 0 and size // count >= _LEAST_PATCH]
    if not sides:
        near = max(round(size / 8) * 8, _LEAST_PATCH * _FEWEST)
        raise WinnowError(
            f"model {label}: images of {size} pixels cannot be cut into {_FEWEST} to {_MOST} squares of at least "
            f"{_LEAST_PATCH} pixels along a side; set image_size of the data set, e.g. to {near}"
        )
    return size // sides[0]
