"""Where a training run stands, saved so that a killed job resumes instead of starting over."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn, optim

from winnow.models.weights import load_state, save_weights
from winnow.train.resume import ResumeFile

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Everything that changes during training, besides weights and optimizer.

    `epoch` and `step` count what is complete; `loss_sum` and `correct` add up over the current epoch;
    `seconds` and `joules` over all attempts, `resumed` of them after the first.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    joules: float = 0.0
    resumed: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def end_epoch(self, row: dict[str, float]) -> None:
        """Add an epoch to the history, and begin the next one."""
        self.history.append(row)
        self.epoch, self.step, self.epoch_seconds = self.epoch + 1, 0, 0.0
        self.loss_sum, self.correct = 0.0, 0


@dataclass(frozen=True)
class Snapshots:
    """Weights kept after some epochs (rewind points).

    They are part of the saved state too: Snakemake deletes declared outputs before a second attempt, and on a
    cluster already while a cancelled job is still saving its state. So their content is kept in memory.

    Attributes:
        paths: file by number of complete epochs; 0 for the initial weights.
        contents: bytes (uint8) of every file written so far.
    """

    paths: Mapping[int, Path]
    contents: dict[int, Tensor] = field(default_factory=dict)

    def take(self, epoch: int, model: nn.Module) -> None:
        """Save the weights after so many complete epochs, where they are wanted."""
        if epoch in self.paths:
            save_weights(self.paths[epoch], model)
            content = bytearray(self.paths[epoch].read_bytes())
            self.contents[epoch] = torch.frombuffer(content, dtype=torch.uint8)

    def restore(self, stored: Mapping[int, Tensor]) -> None:
        """Write the files again whose bytes, uint8 [n] by number of epochs, an earlier attempt has stored."""
        for at, content in stored.items():
            self.contents[at] = content.cpu()
            self.paths[at].write_bytes(self.contents[at].numpy().tobytes())


def save_progress(
    file: ResumeFile, progress: Progress, model: nn.Module, optimizer: optim.Optimizer, snapshots: Snapshots
) -> None:
    """Store the whole state of a training run."""
    file.save(
        {
            "progress": vars(progress),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "snapshots": snapshots.contents,
        }
    )


def restore_progress(
    file: ResumeFile,
    model: nn.Module,
    optimizer: optim.Optimizer,
    snapshots: Snapshots,
    device: torch.device,
    first_epoch: int,
) -> Progress:
    """Load what an earlier attempt stored into model, optimizer and snapshots, or begin after `first_epoch` epochs."""
    state = file.load(device)
    if state is None:
        snapshots.take(first_epoch, model)
        return Progress(epoch=first_epoch)
    load_state(model, state["model"])
    optimizer.load_state_dict(state["optimizer"])
    snapshots.restore(state["snapshots"])
    progress = Progress(**state["progress"])
    progress.resumed += 1
    return progress
