"""Images from a source, each kind in a module of its own that is loaded by name."""

from __future__ import annotations

import importlib

from winnow.config.catalog import SOURCES
from winnow.config.settings import DatasetSettings
from winnow.data.images import Images


def read_source(settings: DatasetSettings) -> tuple[Images, Images]:
    """Return the training and the test images of a data set, uint8 [N, channels, image_size, image_size].

    Raises:
        WinnowError: the source is absent, damaged or unfit.
    """
    images: tuple[Images, Images] = importlib.import_module(SOURCES[settings.source].module).read(settings)
    return images
