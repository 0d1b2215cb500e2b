"""From the bytes of an image file to pixels.

Files of 8 bits a channel become uint8 at once. Deeper ones, of 16 or 32 bits or floating point, keep their values
until the range to scale them by is known: the one their file states, or the one that all images of the data set share.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from winnow.data.fitting import Fitting
from winnow.data.formats import formats
from winnow.errors import WinnowError
from winnow.text import shown

_DEEP = frozenset(("I", "F"))  # the first letter of Pillow's modes
_LOWEST, _HIGHEST, _PHOTOMETRIC = (280, 340), (281, 341), 262  # tags of TIFF
_WHITE_IS_ZERO = 0
_DROPPED = "dropped"  # a background that is none
_PPM_HIGHEST = 65535  # to which Pillow scales what a deep PGM states


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: uint8 [C, H, W]; float32 [H, W] if it is deep.
        deep: how its values lie; None with 8 bits.
        narrowed: it has 16 bits a colour, of which Pillow gives the upper 8.
        frames: it holds more than one image; this is the first.
    """

    pixels: np.ndarray
    deep: Deep | None
    narrowed: bool
    frames: bool


@dataclass(frozen=True)
class Deep:
    """The values of a deep image: whole or not, the least and the largest, and the range its file states, if any."""

    whole: bool
    least: float
    largest: float
    stated: tuple[float, float] | None


def decode(content: bytes, name: str, *, fitting: Fitting, channels: int) -> Picture:
    """Decode an image and bring it to its size.

    Args:
        name: of the file, for errors.
        channels: C, 3 (RGB) or 1 (luma).

    Raises:
        WinnowError: it is no readable image.
    """
    try:
        with Image.open(io.BytesIO(content), formats=formats()) as image:
            fitting.draft(image)
            narrowed, frames = ";16" in str(image.tile), bool(getattr(image, "is_animated", False))
            upright = ImageOps.exif_transpose(image) if fitting.upright else image
            if upright.mode[0] in _DEEP:
                values, deep = _values(upright, image)
                return Picture(np.asarray(fitting(values)), deep, False, frames)
            flat = _opaque(upright, fitting.background).convert("RGB" if channels == 3 else "L")
            pixels = np.asarray(fitting(flat))
    except Exception as error:  # of Pillow, which raises nearly anything on damaged bytes
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WinnowError(f"{shown(name)} is not a readable image ({reason}); replace or remove it") from error
    return Picture(pixels.transpose(2, 0, 1) if channels == 3 else pixels[None], None, narrowed, frames)


def _opaque(image: Image.Image, background: str | None) -> Image.Image:
    """Lay an image over a background, if any of it can be transparent."""
    if background in (None, _DROPPED) or not image.has_transparency_data:
        return image
    ground = Image.new("RGBA", image.size, background)
    ground.alpha_composite(image.convert("RGBA"))
    return ground


def _values(image: Image.Image, file: Image.Image) -> tuple[Image.Image, Deep]:
    """Return a deep image in floating point, with how its values lie.

    Args:
        file: as it was opened, with what it states.
    """
    if "transparency" in file.info:
        raise ValueError("16 bits with a transparent value; convert it to 8 bits")
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    tags: Any = getattr(file, "tag_v2", {})
    stated = (0.0, float(_PPM_HIGHEST)) if file.format == "PPM" and image.mode == "I" else _stated(tags)
    deep = Deep(image.mode[0] == "I", float(values.min()), float(values.max()), stated)
    if stated and not stated[0] <= deep.least <= deep.largest <= stated[1]:
        low, high = stated
        raise ValueError(f"it states values from {low:g} to {high:g} and has {deep.least:g} to {deep.largest:g}")
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise ValueError("deep pixels of which 0 is white; convert it so that 0 is black")
    return Image.fromarray(values.astype(np.float32)), deep


def _stated(tags: Any) -> tuple[float, float] | None:
    """Return the range that tags of TIFF state."""
    for lowest, highest in zip(_LOWEST, _HIGHEST, strict=True):
        if highest in tags:
            low, high = (float(np.ravel(tags.get(tag, 0))[0]) for tag in (lowest, highest))
            if high > low:
                return low, high
    return None


def shared_range(deep: dict[str, Deep]) -> tuple[float, float]:
    """Return the range of deep images that state none: of whole numbers the bits that hold all, of others 0 to 1.

    Args:
        deep: by the names of their files, for errors; all whole numbers, or none.

    Raises:
        WinnowError: the values are in no such range.
    """
    low, high = min(deep, key=lambda name: deep[name].least), max(deep, key=lambda name: deep[name].largest)
    least, largest = deep[low].least, deep[high].largest
    if all(image.whole for image in deep.values()):
        if least < 0:
            raise WinnowError(
                f"{shown(low)} has values down to {least:g}, and nothing says which is black; convert the images to 8 "
                "bits, or to 16 bits from 0"
            )
        return 0.0, float(2 ** max(8, int(largest).bit_length()) - 1)
    if least < 0 or largest > 1:
        raise WinnowError(
            f"{shown(low if least < 0 else high)} has floating-point values {least:g} to {largest:g}, outside 0 to 1, "
            "and nothing says which are black and white; scale the images to 0..1, or convert them to 8 bits"
        )
    return 0.0, 1.0


def scaled(pixels: np.ndarray, low: float, high: float, channels: int) -> np.ndarray:
    """Return deep pixels [H, W] of a range as uint8 [channels, H, W]."""
    levels = np.clip(np.round((pixels.astype(np.float64) - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
    return np.broadcast_to(levels, (channels, *levels.shape))
