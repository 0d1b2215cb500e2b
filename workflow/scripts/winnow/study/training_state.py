"""The state from which a killed training run resumes: where it lies, and when it is over."""

from __future__ import annotations

from pathlib import Path

STATE = "weights.resume"  # beside the outputs, but none of them: those are deleted before every attempt
_OUTPUTS = ("weights.safetensors", "training.json")


def discard_state_of(path: str | Path) -> None:
    """Delete the state of the training run that a file came from, if it came from one.

    For jobs that read the file. Until then nobody knows that the outputs have been accepted, and are not deleted and
    asked for again.
    """
    if Path(path).name in _OUTPUTS:
        Path(path).with_name(STATE).unlink(missing_ok=True)
