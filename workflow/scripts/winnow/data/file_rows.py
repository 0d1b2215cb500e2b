"""Images in a file, read row by row: no more of them is in memory than was asked for. No torch."""

from __future__ import annotations

import os
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np

from winnow.errors import WinnowError

_MOST_AT_ONCE = 2**30  # bytes; Linux reads at most 2 GiB in one call


class FileRows:
    """Images that lie one after the other in a file.

    Plain reads and no memory map: pages of a map count as memory of the process, and whoever limits that would end it.

    Args:
        offset: of the first, in bytes.
        shape: (N, C, H, W).
    """

    def __init__(self, path: str | Path, offset: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._path, self._offset, self._row = path, offset, int(np.prod(shape[1:]))
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Return the images at positions, int64 [M]: uint8 [M, C, H, W].

        Raises:
            WinnowError: the file cannot be read.
        """
        images = np.empty((len(positions), *self.shape[1:]), np.uint8)
        content = images.reshape(-1).data
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1  # neighbours are read at once
        starts = [0, *breaks.tolist(), len(positions)] if len(positions) else [0]
        for start, stop in pairwise(starts):
            self._fill(content[start * self._row : stop * self._row], int(positions[start]))
        return images

    def _fill(self, content: memoryview, position: int) -> None:
        place = self._offset + position * self._row
        while content:
            try:
                count = os.preadv(self._file, [content[:_MOST_AT_ONCE]], place)
            except OSError as error:
                raise WinnowError(
                    f"{self._path}: cannot be read ({error.strerror}); check the disk, then run again"
                ) from error
            if not count:
                raise WinnowError(f"{self._path}: ends early; delete it and run again")
            content, place = content[count:], place + count
