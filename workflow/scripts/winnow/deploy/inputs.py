"""What a model.onnx is fed with: normalized images, or pixels that it normalizes itself. Said by the file alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto

from winnow.data.normalization import Normalization
from winnow.data.prepared import Samples
from winnow.deploy.graphs import read_model
from winnow.errors import WinnowError


@dataclass(frozen=True)
class Input:
    """The input of a file.

    Attributes:
        baked_in: how the file normalizes what it takes, uint8 [N, C, H, W] as images are stored; None where it takes
            float32 [N, C, H, W] that is normalized already.
    """

    baked_in: Normalization | None

    @property
    def type(self) -> type[np.uint8] | type[np.float32]:
        """Return the type of a value."""
        return np.float32 if self.baked_in is None else np.uint8

    def samples(self, split: Samples) -> Samples:
        """Return a split whose images are what the file takes."""
        return split if self.baked_in is None else replace(split, normalization=None)

    def images(self, stored: np.ndarray, normalization: Normalization) -> np.ndarray:
        """Return what the file takes of stored images, uint8 [N, C, H, W]."""
        return normalization(stored) if self.baked_in is None else stored

    def noise(self, shape: Sequence[int], random: np.random.Generator) -> np.ndarray:
        """Return random values that the file takes, as wide as those of images."""
        if self.baked_in is None:
            return random.standard_normal(tuple(shape), dtype=np.float32)
        return random.integers(0, 256, tuple(shape), dtype=np.uint8)


def read_input(path: str | Path) -> Input:
    """Return what a model.onnx is fed with.

    Raises:
        WinnowError: it is damaged, or normalizes in a way that it does not state.
    """
    try:
        return input_of(read_model(path))
    except KeyError as error:
        raise WinnowError(
            f"{path}: takes pixels and has no {error} in its metadata; delete it and run again"
        ) from error


def input_of(model: ModelProto) -> Input:
    """Return what a graph is fed with.

    Raises:
        KeyError: it takes pixels, and its metadata do not say what it does with them.
    """
    if model.graph.input[0].type.tensor_type.elem_type != TensorProto.UINT8:
        return Input(None)
    entries = {entry.key: entry.value for entry in model.metadata_props}  # some are those of libraries
    return Input(Normalization.read({field.name: json.loads(entries[field.name]) for field in fields(Normalization)}))
