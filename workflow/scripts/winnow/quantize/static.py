"""Post-training static quantization: ranges observed on calibration images (Krishnamoorthi 2018, Nagel et al. 2021)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import Tensor, nn
from torch.fx import GraphModule

from winnow.quantize.calibration import Calibration
from winnow.study.recipe import Recipe


def quantize_static(
    model: nn.Module, batches: Iterable[Tensor], recipe: Recipe, spared: Collection[str] = ()
) -> GraphModule:
    """Return an int8 module whose ranges were observed on calibration batches.

    Args:
        model: fp32; it is not changed.
        batches: normalized float32 [N, C, H, W], at least one, the first of at least 2 images.
        recipe: how finely, in which ranges and in which way it is rounded.
        spared: layers that stay in float, by their names: what `keep_float` comes to, see `mixed`.

    Raises:
        WinnowError: there is no layer of a name.
    """
    return Calibration(model, batches, recipe, sparing=bool(spared)).quantized(spared)
