"""What makes many exports in one process faster, and none of them different."""

from __future__ import annotations

from functools import cache

import pytest
from torch.onnx._internal.exporter import _registration


def one_registry(patch: pytest.MonkeyPatch) -> None:
    """Collect the exporter's operators once: it does so anew for every file, half a second each."""
    once = staticmethod(cache(_registration.ONNXRegistry.from_torchlib))
    patch.setattr(_registration.ONNXRegistry, "from_torchlib", once)
