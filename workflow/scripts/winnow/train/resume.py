"""The state from which a killed training run resumes."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from winnow.data.dataset_file import dataset_digest
from winnow.files import digest, replacing

log = logging.getLogger(__name__)
_CHECKSUM = hashlib.sha256().digest_size  # bytes in front of the state


@dataclass(frozen=True)
class ResumeFile:
    """Training state in a file that Snakemake does not know of, so that it survives whatever kills the job.

    Attributes:
        path: beside the outputs, but not one of them (declared outputs are deleted before every start).
        key: digest of parameters, inputs and source; a state with another key is not this training run's.
    """

    path: Path
    key: str

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the stored state by nested dicts and lists of tensors and plain values."""
        content = io.BytesIO()  # torch writing to the file itself would not say that the disk is full
        torch.save({"key": self.key, **state}, content)
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the stored state, or None; what is damaged or made by another training run is discarded loudly."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        checksum, state = content[:_CHECKSUM], memoryview(content)[_CHECKSUM:]
        if hashlib.sha256(state).digest() != checksum:
            self.reject("it is damaged (its checksum does not fit)")
            return None
        try:
            stored: dict[str, Any] = torch.load(io.BytesIO(state), map_location=device, weights_only=True)
            key = stored.pop("key")
        except Exception as error:  # torch.load raises whatever a file provokes
            self.reject(f"it is no state of a training run ({type(error).__name__})")
            return None
        if key != self.key:
            self.reject("parameters, inputs or code have changed since it was written")
            return None
        return stored

    def reject(self, reason: str) -> None:
        """Discard a state that cannot be used, loudly."""
        log.warning("discarding %s: %s; the training run begins anew", self.path, reason)
        self.discard()

    def discard(self) -> None:
        """Delete the stored state, if there is one."""
        self.path.unlink(missing_ok=True)


def resume_file(path: Path, params: Mapping[str, Any], inputs: Iterable[str | Path], seed: int) -> ResumeFile:
    """Return the resume file of a training run that is determined by these parameters, input files and seed."""
    contents = list(map(dataset_digest, inputs))
    return ResumeFile(path, digest({"params": dict(params), "inputs": contents, "seed": seed}))
