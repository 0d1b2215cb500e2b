"""What torchvision says of how its weights were trained, and are to be fed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import EnumMeta
from typing import Any

from winnow.errors import WinnowError


@dataclass(frozen=True)
class Stated:
    """The preprocessing of weights: a resize of the shorter side, a crop of the centre, mean and std of RGB in 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: tuple[int, ...]
    crop: tuple[int, int]
    interpolation: str

    def __str__(self) -> str:
        sizes = [sides[0] if len(set(sides)) == 1 else list(sides) for sides in (self.resize, self.crop)]
        return f"resize: {sizes[0]}, crop: {sizes[1]}, interpolation: {self.interpolation}"


def weights_entry(name: str, where: str) -> Any:
    """Return torchvision's entry of weights.

    Args:
        name: e.g. `ResNet18_Weights.IMAGENET1K_V1`.
        where: begins errors.

    Raises:
        WinnowError: there is none of this name.
    """
    import torchvision  # takes seconds to load

    kind, _, entry = name.partition(".")
    found = getattr(torchvision.models, kind, None)
    if not isinstance(found, EnumMeta):
        raise WinnowError(f"{where}: torchvision.models has no {kind}; write e.g. ResNet18_Weights.IMAGENET1K_V1")
    if entry not in found.__members__:
        raise WinnowError(f"{where}: torchvision's {kind} has no {entry!r}, but {', '.join(found.__members__)}")
    return found[entry]


def stated(name: str) -> Stated:
    """Return what weights state of their preprocessing.

    Raises:
        WinnowError: torchvision has no such weights.
    """
    preset = weights_entry(name, f"torchvision:{name}").transforms()
    return Stated(
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        resize=tuple(preset.resize_size),
        crop=(preset.crop_size[0], preset.crop_size[-1]),
        interpolation=preset.interpolation.value,
    )
