"""The image formats that are read: all that Pillow decodes by itself.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from functools import cache

from PIL import Image, ImageFile

_NOT_IMAGES = frozenset(("EPS", "IPTC", "MPEG"))  # text that another program would run, remarks, films


@cache
def formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats."""
    Image.init()
    known = {name for name, (factory, _) in Image.OPEN.items() if not _is_stub(factory)}
    return tuple(sorted(known - _NOT_IMAGES))


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of files, `.jpg`, that are in one of the formats."""
    readable = formats()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in readable)


def _is_stub(factory: object) -> bool:
    """Whether Pillow knows a format by name only."""
    return isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
