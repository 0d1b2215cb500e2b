"""How large a trained network is as torch would save it: the header of its weights says so to who loads no torch."""

from __future__ import annotations

from pathlib import Path

from winnow.errors import WinnowError
from winnow.files import safetensors_metadata

STATE_BYTES = "state_dict_bytes"


def state_bytes(path: str | Path) -> int:
    """Return the bytes that torch.save would write for a stored state dict: the dense fp32 model size.

    Args:
        path: of a file of `models.weights.save_weights`.

    Raises:
        WinnowError: the header is damaged or does not say it.
    """
    try:
        return int(safetensors_metadata(path)[STATE_BYTES])
    except (KeyError, ValueError) as error:
        raise WinnowError(f"{path}: its header has no {STATE_BYTES}; delete it and run again") from error
