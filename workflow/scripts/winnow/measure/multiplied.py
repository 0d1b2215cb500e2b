"""What a file says of the multipliers that it simulates."""

from __future__ import annotations

import json
from pathlib import Path

from winnow.config.typed import built
from winnow.deploy.graphs import read_model
from winnow.study.multiplication import MULTIPLICATION, Multiplication


def multiplication_of(path: str | Path) -> Multiplication | None:
    """Return what the metadata of a model.onnx says of its multiplications; None if they are those of a processor."""
    entries = {entry.key: entry.value for entry in read_model(path).metadata_props}
    return built(Multiplication, json.loads(entries[MULTIPLICATION])) if MULTIPLICATION in entries else None
