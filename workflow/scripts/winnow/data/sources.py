"""Images from a source, each kind in a module of its own that is loaded by name."""

from __future__ import annotations

import importlib

from winnow.config.catalog import SOURCES
from winnow.config.settings import DatasetSettings
from winnow.data.images import Source


def open_source(settings: DatasetSettings) -> Source:
    """Return where the images of a data set come from; which there are is known, and none is read yet.

    Raises:
        WinnowError: the source is absent, damaged or unfit.
    """
    source: Source = importlib.import_module(SOURCES[settings.source].module).open_source(settings)
    return source
