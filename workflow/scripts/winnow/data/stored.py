"""Images as tensors, in memory or in a file."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from winnow.data.file_rows import FileRows


class Rows(Protocol):
    """Images uint8 [N, C, H, W] in memory or elsewhere: a tensor is one, too."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        """Return those of a slice, or of positions int64 [M], in memory."""


class StoredRows:
    """Images that stay in their file until they are asked for."""

    def __init__(self, rows: FileRows) -> None:
        self._rows, self.shape = rows, rows.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        positions = np.arange(len(self))[index] if isinstance(index, slice) else index.numpy()
        return torch.from_numpy(self._rows.read(positions))


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
