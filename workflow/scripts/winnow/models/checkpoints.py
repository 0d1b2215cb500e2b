"""Trained weights in files of other programs: tensors by name, found without running any code that a file brings."""

from __future__ import annotations

import argparse
import logging
import pathlib
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from winnow.errors import WinnowError

log = logging.getLogger(__name__)
_USUAL = (
    *("state_dict", "model_state_dict", "model_state", "model", "model.state_dict", "module", "net", "network"),
    *("weights", "params"),
)
"""Keys under which programs store a network, the most telling first."""
_FORBIDDEN = re.compile(r"Unsupported \w+: GLOBAL (\S+)|Unsupported class (\S+)")
_TENSORS_ONLY = "store its tensors alone, torch.save(model.state_dict(), ...)"
_ARRAYS = ("scalar", "_reconstruct")  # in a module that numpy 1 and 2 call differently
# what training scripts store beside the weights: values, none of which runs anything
_HARMLESS: list[Any] = [
    *(argparse.Namespace, pathlib.PosixPath, np.dtype, np.ndarray),
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64, np.bool_)),
    *((getattr(multiarray, name), f"numpy.{core}.multiarray.{name}") for core in ("core", "_core") for name in _ARRAYS),
]


def read_checkpoint(path: str | pathlib.Path, key: str | None, where: str) -> dict[str, Tensor]:
    """Return the weights in a file, as they are there, on the CPU.

    Args:
        path: a .safetensors file, or one that `torch.save` wrote.
        key: of the weights in a checkpoint, `a.b` for one in another; None where a usual one, or none, leads to them.
        where: begins errors, e.g. `models.mine.weights: net.pth`.

    Raises:
        WinnowError: the file is damaged, is no state dict and holds none, or is quantized.
    """
    content = _safetensors(path, where) if str(path).endswith(".safetensors") else _pickled(path, where)
    state = _chosen(content, key, where)
    if any(value.is_quantized for value in state.values()):
        raise _quantized(where)
    return state


def _safetensors(path: str | pathlib.Path, where: str) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WinnowError(f"{where}: not readable as safetensors ({error}); get it again") from error


def _pickled(path: str | pathlib.Path, where: str) -> Any:
    try:
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is unusual in a file is said below, in one line
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever a file provokes
        forbidden = _FORBIDDEN.search(str(error))
        if forbidden:
            name = forbidden[1] or forbidden[2]
            raise WinnowError(
                f"{where}: holds a {name}, whose code would run when it is loaded; {_TENSORS_ONLY}"
            ) from error
        if "TorchScript" in str(error):
            raise WinnowError(f"{where}: is a program of TorchScript, not weights; {_TENSORS_ONLY}") from error
        reason = str(error).partition("\n")[0].partition(". ")[0] or "it ends early"
        raise WinnowError(
            f"{where}: not readable as what torch.save writes ({type(error).__name__}: {reason}); get it again"
        ) from error


def _chosen(content: Any, key: str | None, where: str) -> dict[str, Tensor]:
    """Return the weights under a key, or those that the file is, or those under a usual key."""
    found = dict(_states(content))
    if not found:
        if any("_packed_params" in name for name in _names(content)):
            raise _quantized(where)
        raise WinnowError(f"{where}: holds no tensors by name but a {type(content).__name__}; {_TENSORS_ONLY}")
    if key is None:
        keys = [usual for usual in ("", *_USUAL) if usual in found]
    else:
        keys = [name for name in (key, *(f"{key}.{usual}" for usual in _USUAL)) if name in found]
    if keys:
        if len(found) > 1:
            others = ", ".join(repr(name) for name in found if name != keys[0])
            log.info("%s: takes the weights under %r; others are under %s", where, keys[0], others)
        return found[keys[0]]
    if "" in found:
        raise WinnowError(f"{where}: is a state dict without the weights_key {key!r}; remove the key")
    asked = f"under {key!r}" if key is not None else "under a usual key"
    raise WinnowError(f"{where}: no weights {asked}, but under {', '.join(map(repr, found))}; name one in weights_key")


def _states(content: Any, path: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield what holds nothing but tensors by name, with the keys that lead to it, joined by dots."""
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return
    if content and all(isinstance(value, Tensor) for value in content.values()):
        yield path, dict(content)
        return
    for name, value in content.items():
        yield from _states(value, f"{path}.{name}" if path else name)


def _names(content: Any) -> Iterator[str]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield str(name)
            yield from _names(value)


def _quantized(where: str) -> WinnowError:
    return WinnowError(f"{where}: is quantized; give the weights in float, Winnow quantizes them itself")
