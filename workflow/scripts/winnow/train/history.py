"""What training leaves behind per epoch: one CSV row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from winnow.files import write_text


@dataclass(frozen=True)
class Epoch:
    """One epoch; accuracies are top-1 between 0 and 1, losses mean cross-entropy (training: with smoothing).

    `learning_rate` is the epoch's last; `seconds` include validation.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: loss {self.train_loss:.4f}, accuracy {self.train_accuracy:.2%}, "
            f"validation loss {self.validation_loss:.4f}, accuracy {self.validation_accuracy:.2%}, "
            f"lr {self.learning_rate:.3g}, {self.seconds:.1f} s, {self.images_per_second:.0f} images/s"
        )


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the whole history; a reader sees the file before or after, never half of it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _rounded(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _rounded(value: float) -> float | str:
    return value if isinstance(value, int) else f"{value:.6g}"
