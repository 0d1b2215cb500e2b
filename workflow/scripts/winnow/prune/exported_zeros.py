"""Whether a file holds the zeros that pruning made: what is zero in memory only makes no network smaller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from winnow.errors import WinnowError
from winnow.prune.masks import Masks

_LARGEST_SPLIT = 4  # into how many parts exporters cut a weight: queries, keys and values, gates of recurrent layers


def check_exported_zeros(path: str | Path, masks: Masks, run: str) -> None:
    """Check that every pruned weight is a zero in a constant of an fp32 model.onnx.

    Raises:
        WinnowError: no constant has the zeros of a mask; names the parameter.
    """
    graph = onnx.load(path).graph
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    weights = [value for value in constants.values() if value.size > 1]
    for name, mask in masks.keep.items():
        pruned = ~mask.numpy()
        if not pruned.any():
            continue
        if _is_zero(pruned, constants[name]) if name in constants else _are_zero(pruned, weights):
            continue
        raise WinnowError(
            f"{run}: {path} holds no constant with the {int(pruned.sum())} zeros of {name}: the network computes its "
            "weight from it; list the layer in pruning.skip_layers, or leave this network out of pruning.models"
        )


def _are_zero(pruned: np.ndarray, constants: Sequence[np.ndarray]) -> bool:
    """Whether these places are zero in a constant, transposed or not, or in parts of it as constants of their own."""
    for parts in range(1, _LARGEST_SPLIT + 1):
        if len(pruned) % parts == 0 and all(
            any(_is_zero(part, constant) for constant in constants) for part in np.split(pruned, parts)
        ):
            return True
    # the gates of recurrent layers come in another order
    return any(constant.size == pruned.size and (constant == 0).sum() >= pruned.sum() for constant in constants)


def _is_zero(pruned: np.ndarray, constant: np.ndarray) -> bool:
    constant = constant.squeeze() if constant.ndim > pruned.ndim else constant
    forms = [constant, constant.T] if pruned.ndim == 2 else [constant]
    return any(form.shape == pruned.shape and not form[pruned].any() for form in forms)
