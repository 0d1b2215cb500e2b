"""How to feed a network: its preprocessing in words, and as code that gives the bits it was scored on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from winnow.config.catalog import CHANNELS_OF
from winnow.data.fitting import Fitting
from winnow.report.blocks import Block, Code, Text

METADATA = ("classes", "mean", "std", "value_range", "channel_order", "fitting")
"""What `deploy.export` writes into a file for whoever uses it."""


def feeding(name: str, shape: list[Any], metadata: Mapping[str, Any], *, baked_in: bool) -> Iterator[Block]:
    """Say how an image becomes the input of a network.

    Args:
        name, shape: of the input, as the file has them.
        metadata: of the file, as values.
        baked_in: whether the file normalizes images itself.
    """
    fitting, channels = Fitting.read(metadata["fitting"]), shape[1]
    size, network_order = f"[{', '.join(map(str, shape))}]", metadata["channel_order"].upper()
    scaled = (
        f"pixels scaled to 0..{metadata['value_range']}, then normalized by channel: `(pixels - mean) / std` with mean "
        f"{_numbers(metadata['mean'])} and std {_numbers(metadata['std'])}."
    )
    if baked_in:
        order = ", channels in the order RGB" if channels == 3 else ""
        turned = f"channels put in the order {network_order}, " if network_order != "RGB" else ""
        yield Text(f"Input `{name}`: uint8 {size}{order}, 0 to 255. The file normalizes it, not you: {turned}{scaled}")
    else:
        order = f", channels in the order {network_order}" if channels == 3 else ""
        yield Text(f"Input `{name}`: float32 {size}{order}, {scaled}")
    yield Text(f"Images it was scored on: {'; '.join(_in_words(fitting, channels))}. For an image file:")
    made = _stored(name, channels) if baked_in else _normalized(name, channels, metadata)
    yield Code("\n".join([*_opened(fitting, channels), *made]))


def _in_words(fitting: Fitting, channels: int) -> Iterator[str]:
    """Yield the steps from a file, or from the pixels of a source, to uint8 pixels of the size."""
    if fitting.upright is not None:
        yield "turned as their EXIF says" if fitting.upright else "as they are stored, whatever their EXIF says"
        if fitting.background != "dropped":
            yield f"what is transparent laid over {fitting.background}"
    yield f"converted to {CHANNELS_OF[channels]}"
    how = f"{fitting.interpolation}, antialiased"
    if fitting.image_size and fitting.upright is None:
        yield f"resized to {_size(fitting.image_size)} ({how}, by torch; the code below does it by Pillow)"
    elif fitting.image_size:
        yield f"cropped to the shape of {_size(fitting.image_size)} around the centre and resized to it ({how})"
    if fitting.resize and len(fitting.resize) == 1:
        yield f"resized to {fitting.resize[0]} pixels on the shorter side ({how})"
    elif fitting.resize:
        yield f"resized to {_size(fitting.resize)} ({how})"
    if fitting.crop:
        yield f"{_size(fitting.crop)} cut out of the centre, with black around what is smaller"
    if fitting.size is None:
        yield "in the size they have"


def _size(sides: tuple[int, ...]) -> str:
    return f"{sides[0]} x {sides[1]} pixels"


def _opened(fitting: Fitting, channels: int) -> Iterator[str]:
    yield "import numpy"
    yield "from PIL import Image, ImageOps"
    yield 'image = Image.open("image.jpg")'
    if fitting.image_size and fitting.upright is not None:
        yield f'image.draft("RGB", ({max(fitting.image_size)}, {max(fitting.image_size)}))  # JPEG may decode smaller'
    if fitting.upright:
        yield "image = ImageOps.exif_transpose(image)"
    yield f'image = image.convert("{"RGB" if channels == 3 else "L"}")'
    resampling = f"Image.Resampling.{fitting.interpolation.upper()}"
    if fitting.image_size:
        yield f"image = ImageOps.fit(image, ({fitting.image_size[1]}, {fitting.image_size[0]}), {resampling})"
    if fitting.resize and len(fitting.resize) == 1:
        yield f"side, other = {fitting.resize[0]}, int({fitting.resize[0]} * max(image.size) / min(image.size))"
        yield "size = (side, other) if image.width <= image.height else (other, side)"
        yield f"image = image.resize(size, {resampling})"
    elif fitting.resize:
        yield f"image = image.resize(({fitting.resize[1]}, {fitting.resize[0]}), {resampling})"
    if fitting.crop:
        height, width = fitting.crop
        yield f"left, top = round((image.width - {width}) / 2), round((image.height - {height}) / 2)"
        yield f"image = image.crop((left, top, left + {width}, top + {height}))"


def _stored(name: str, channels: int) -> Iterator[str]:
    yield f"{name} = numpy.asarray(image){_as_batch(channels)}"


def _as_batch(channels: int) -> str:
    return ".transpose(2, 0, 1)[None]" if channels == 3 else "[None, None]"


def _normalized(name: str, channels: int, metadata: Mapping[str, Any]) -> Iterator[str]:
    mean, std = (f"numpy.float32({_numbers(metadata[key])})[:, None, None]" for key in ("mean", "std"))
    yield f"pixels = numpy.asarray(image, numpy.float32){_as_batch(channels)}"
    if metadata["channel_order"] == "bgr":
        yield "pixels = pixels[:, ::-1]"
    if metadata["value_range"] == 1:
        yield "pixels = pixels / 255"
    yield f"mean, std = {mean}, {std}"
    yield f"{name} = (pixels - mean) / std"


def _numbers(values: list[float]) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in values) + "]"
