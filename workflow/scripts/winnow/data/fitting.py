"""How images of any size come to the one of their data set: resized and cropped by Pillow, as torchvision does it.

`resize` and `crop` give the bits of `torchvision.transforms.Resize` and `CenterCrop` on an image of Pillow, whose
resampling is antialiased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from PIL import Image, ImageOps

from winnow.config.settings import DatasetSettings


@dataclass(frozen=True)
class Fitting:
    """Sizes are (height, width) in pixels.

    Attributes:
        image_size: the image is cropped to this shape around the centre, then resized to it. None with the others, or
            where images stay as they are.
        resize: what it is resized to; a single number is the shorter side.
        crop: what is then cut out of the centre; an image that is smaller gets black around it.
        interpolation: name of Pillow's filter, in lower case.
        upright, background: see the keys of the same names; of image files only, else None.
    """

    image_size: tuple[int, ...] | None
    resize: tuple[int, ...] | None
    crop: tuple[int, ...] | None
    interpolation: str
    upright: bool | None = None
    background: str | None = None

    @classmethod
    def of(cls, settings: DatasetSettings, *, files: bool) -> Self:
        """Return that of a data set.

        Args:
            files: its images are files.
        """
        sizes = settings.image_size, settings.resize, settings.crop, settings.interpolation
        return cls(*sizes, settings.upright, settings.background) if files else cls(*sizes)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `facts` were."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()
        }
        return cls(**values)

    @property
    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @property
    def piped(self) -> bool:
        """Whether images are resized and cropped as configured, and not just fitted to a size."""
        return bool(self.resize or self.crop)

    @property
    def size(self) -> tuple[int, int] | None:
        """Return (height, width) of the result; None where images stay as they are."""
        sides = self.crop or self.resize or self.image_size
        return (sides[0], sides[-1]) if sides else None

    def draft(self, image: Image.Image) -> None:
        """Let JPEG decode at a reduced scale, never below the size, where an image is only fitted."""
        if self.image_size:
            image.draft("RGB", (max(self.image_size), max(self.image_size)))

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return an image in the size."""
        if not self.image_size:
            return self._cropped(self._resized(image))
        height, width = self.image_size
        return image if image.size == (width, height) else ImageOps.fit(image, (width, height), self._filter)

    @property
    def _filter(self) -> Image.Resampling:
        return Image.Resampling[self.interpolation.upper()]

    def _resized(self, image: Image.Image) -> Image.Image:
        if not self.resize:
            return image
        if len(self.resize) == 1:
            (side,), short, long = self.resize, min(image.size), max(image.size)
            other = int(side * long / short)
            size = (side, other) if image.width <= image.height else (other, side)
        else:
            size = (self.resize[1], self.resize[0])
        return image if image.size == size else image.resize(size, self._filter)

    def _cropped(self, image: Image.Image) -> Image.Image:
        if not self.crop:
            return image
        height, width = self.crop
        left, top = _start(image.width, width), _start(image.height, height)
        return image.crop((left, top, left + width, top + height))


def _start(length: int, wanted: int) -> int:
    """Return where a cut out of the centre begins; negative where there is too little to cut."""
    return round((length - wanted) / 2) if length >= wanted else -((wanted - length) // 2)
