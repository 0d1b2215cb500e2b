"""What a training took, its ancestors included, as a file beside the weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from winnow.files import read_json, write_json
from winnow.train.loop import TrainingRecord


def write_training_record(path: str | Path, record: TrainingRecord, ancestor: str | Path | None) -> None:
    """Write training.json.

    Besides the record itself it holds `total_seconds` and `total_joules`, which include every training this
    one started from.

    Args:
        ancestor: training.json of the network the training started from, None for fresh weights.
    """
    before = read_json(ancestor) if ancestor else {"total_seconds": 0.0, "total_joules": 0.0, "energy_estimated": False}
    estimated = record.energy["estimated"] or before["energy_estimated"]
    total = {
        "total_seconds": before["total_seconds"] + record.seconds,
        "total_joules": before["total_joules"] + record.energy["joules"],
        "energy_estimated": estimated,
    }
    write_json(path, asdict(record) | total)
