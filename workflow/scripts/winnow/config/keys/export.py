"""What the files that ship are like."""

from __future__ import annotations

from typing import Annotated

from winnow.config.keys.kinds import Flag
from winnow.config.keys.section import Section, key


class Export(Section):
    """What exported files are like."""

    baked_in: Annotated[bool, Flag()] = key(
        "whether files normalize images themselves: they take `pixels`, uint8 `[N, C, H, W]` in RGB, as resized and "
        "cropped; else `images`, float32, to which `value_range`, `channel_order`, `mean` and `std` have been applied",
        False,
        example=True,
    )
