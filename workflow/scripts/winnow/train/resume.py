"""The state from which a killed training run resumes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from winnow.files import digest, replacing

log = logging.getLogger(__name__)


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
        with replacing(self.path) as temporary:
            torch.save({"key": self.key, **state}, temporary)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the stored state, or None; what is damaged or made by another training run is discarded loudly."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
            key = state.pop("key")
        except Exception as error:  # torch.load raises whatever a damaged archive provokes
            log.warning("discarding %s: it is damaged (%s)", self.path, str(error).splitlines()[0])
            self.discard()
            return None
        if key != self.key:
            log.warning("discarding %s: parameters, inputs or code have changed since it was written", self.path)
            self.discard()
            return None
        return state

    def discard(self) -> None:
        """Delete the stored state, if there is one."""
        self.path.unlink(missing_ok=True)


def resume_file(path: Path, params: Mapping[str, Any], inputs: Iterable[str | Path], seed: int) -> ResumeFile:
    """Return the resume file of a training run that is determined by these parameters, input files and seed."""
    contents = []
    for name in inputs:
        with Path(name).open("rb") as file:
            contents.append(hashlib.file_digest(file, "sha256").hexdigest())
    return ResumeFile(path, digest({"params": dict(params), "inputs": contents, "seed": seed}))
