"""Images in a file, read row by row: no more of them is in memory than was asked for."""

from __future__ import annotations

import os
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from winnow.errors import WinnowError

_MOST_AT_ONCE = 2**30  # bytes; Linux reads at most 2 GiB in one call


class Rows(Protocol):
    """Images uint8 [N, C, H, W] in memory or elsewhere: a tensor is one, too."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        """Return those of a slice, or of positions int64 [M], in memory."""


class StoredRows:
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

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        positions = np.arange(len(self))[index] if isinstance(index, slice) else index.numpy()
        return self.read(positions, torch.empty((len(positions), *self.shape[1:]), dtype=torch.uint8))

    def read(self, positions: np.ndarray, into: Tensor) -> Tensor:
        """Read the images at positions, int64 [M], into a uint8 tensor [M, C, H, W] on the CPU, and return it.

        Raises:
            WinnowError: the file cannot be read.
        """
        content = into.numpy().reshape(-1).data
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1  # neighbours are read at once
        starts = [0, *breaks.tolist(), len(positions)] if len(positions) else [0]
        for start, stop in pairwise(starts):
            self._fill(content[start * self._row : stop * self._row], int(positions[start]))
        return into

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


class ChosenRows:
    """Some images of others.

    Args:
        chosen: positions int64 [M] in `rows`.
    """

    def __init__(self, rows: Rows, chosen: Tensor) -> None:
        self._rows, self._chosen = rows, chosen
        self.shape = (len(chosen), *rows.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        return self._rows[self._chosen[index]]
