"""Weights that load without guessing."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from winnow.errors import WinnowError
from winnow.files import ordered_metadata, write_bytes
from winnow.study.state_bytes import STATE_BYTES


def save_weights(path: str | Path, model: nn.Module, metadata: Mapping[str, str] | None = None) -> None:
    """Write a module's state dict (parameters and buffers) as safetensors, with what torch would make of it.

    Args:
        metadata: for the header of the file, beside the bytes of the state dict (`study.state_bytes`); what
            `narrowing.cut_metadata` gives for a narrow network.
    """
    write_bytes(path, weights_content(model, metadata))


def weights_content(model: nn.Module, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return what `save_weights` writes."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    plain: bytes = save(state)
    stored = json.loads(plain[8 : 8 + int.from_bytes(plain[:8], "little")])  # in their order in the file
    counter = _Counter()
    torch.save({name: state[name] for name in stored}, counter)
    return ordered_metadata(save(state, {**(metadata or {}), STATE_BYTES: str(counter.total)}))


class _Counter(io.BytesIO):
    """A file that only counts the bytes."""

    total = 0

    def write(self, content: Any, /) -> int:
        self.total += memoryview(content).nbytes
        return memoryview(content).nbytes


def load_weights(path: str | Path, model: nn.Module) -> None:
    """Load a state dict into `model`, in place.

    Raises:
        WinnowError: the file is damaged, or names or shapes differ from the network's.
    """
    try:
        load_state(model, read_state(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WinnowError(f"{path}: does not fit the network ({reason}); delete it and run again") from error


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict, tensors by name, into the class of network that it is of, in place.

    Files keep names and tensors. What modules say of their state beside that, as the versions by which torchvision's
    MNASNet tells old checkpoints, is taken from the network.

    Raises:
        RuntimeError: names or shapes differ from the network's.
    """
    known = OrderedDict(state)
    known._metadata = model.state_dict()._metadata  # type: ignore[attr-defined]
    model.load_state_dict(known)


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return a stored state dict: parameters and buffers by name, in the shapes and types of the network, on the CPU.

    Raises:
        WinnowError: the file is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WinnowError(f"{path}: not readable as safetensors ({error}); delete it and run again") from error
