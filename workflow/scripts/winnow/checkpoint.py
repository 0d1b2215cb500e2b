"""Weights that load without guessing, and the state from which a killed training goes on."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from winnow.errors import WinnowError
from winnow.files import digest, replacing

log = logging.getLogger(__name__)


def save_weights(path: str | Path, model: nn.Module, metadata: Mapping[str, str] | None = None) -> None:
    """Write a module's state dict (parameters and buffers) as safetensors.

    Args:
        metadata: for the header of the file; what `narrowing.cut_metadata` gives for a narrow network.
    """
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    with replacing(path) as temporary:
        save_file(state, temporary, dict(metadata or {}) or None)


def load_weights(path: str | Path, model: nn.Module) -> None:
    """Load a state dict into `model`, in place.

    Raises:
        WinnowError: the file is damaged, or names or shapes differ from the network's.
    """
    try:
        model.load_state_dict(read_state(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WinnowError(f"{path}: does not fit the network ({reason}); delete it and run again") from error


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return a stored state dict.

    Raises:
        WinnowError: the file is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WinnowError(f"{path}: not readable as safetensors ({error}); delete it and run again") from error


@dataclass(frozen=True)
class ResumeFile:
    """Training state in a file that Snakemake does not know of, so that it survives whatever kills the job.

    Attributes:
        path: beside the outputs, but not one of them (declared outputs are deleted before every start).
        key: digest of parameters, inputs and source; a state with another key is not this training's.
    """

    path: Path
    key: str

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the stored state by nested dicts and lists of tensors and plain values."""
        with replacing(self.path) as temporary:
            torch.save({"key": self.key, **state}, temporary)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the stored state, or None; what is damaged or made by another training is discarded loudly."""
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
            key = state.pop("key")
        except Exception as error:  # torch.load raises whatever a damaged archive provokes
            log.warning("discarding %s: it is damaged (%s)", self.path, str(error).splitlines()[0])
            return self.discard()
        if key != self.key:
            log.warning("discarding %s: parameters, inputs or code have changed since it was written", self.path)
            return self.discard()
        return state

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def resume_file(path: Path, params: Mapping[str, Any], inputs: Iterable[str | Path], seed: int) -> ResumeFile:
    """Return the resume file of a training that is determined by these parameters, input files and seed."""
    contents = []
    for name in inputs:
        with Path(name).open("rb") as file:
            contents.append(hashlib.file_digest(file, "sha256").hexdigest())
    return ResumeFile(path, digest({"params": dict(params), "inputs": contents, "seed": seed}))


def state_bytes(path: str | Path) -> int:
    """Return the bytes that torch.save would write for a stored state dict: the dense fp32 model size."""
    content = io.BytesIO()
    torch.save(load_file(path), content)
    return content.getbuffer().nbytes
