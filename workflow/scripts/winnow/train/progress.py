"""Where a training run stands, saved so that a killed job resumes instead of starting over."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from winnow.files import write_bytes
from winnow.models.weights import load_state, weights_content
from winnow.train.extras import Average
from winnow.train.resume import ResumeFile
from winnow.train.updates import Optimizer

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Everything that changes during training, besides weights and optimizer.

    `epoch` and `step` count what is complete; `loss_sum` and `correct` add up over the current epoch;
    `seconds` and `joules` over all attempts, `resumed` of them after the first. `made_by` says with what software and
    hardware (see `devices.surroundings`), `elsewhere` where that changed.
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
    made_by: str = ""
    elsewhere: list[str] = field(default_factory=list)

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
        contents: bytes (uint8) of every file so far.
        written: epochs whose files this attempt has written.
    """

    paths: Mapping[int, Path]
    contents: dict[int, Tensor] = field(default_factory=dict)
    written: set[int] = field(default_factory=set)

    def take(self, epoch: int, model: nn.Module) -> None:
        """Keep the weights after an epoch, if they are asked for."""
        if epoch in self.paths:
            self.contents[epoch] = torch.frombuffer(bytearray(weights_content(model)), dtype=torch.uint8)

    def write(self) -> None:
        """Write the files of what has been kept, each once."""
        for epoch in sorted(self.contents.keys() - self.written):
            write_bytes(self.paths[epoch], self.contents[epoch].numpy().tobytes())
            self.written.add(epoch)

    def restore(self, stored: Mapping[int, Tensor], epoch: int) -> None:
        """Take over what an earlier attempt had kept until an epoch.

        Raises:
            ValueError: that is not what is asked for.
        """
        if set(stored) != {at for at in self.paths if at <= epoch}:
            raise ValueError(f"it has snapshots of epochs {sorted(stored)}")
        self.contents.update({at: content.cpu() for at, content in stored.items()})


@dataclass(frozen=True)
class State:
    """What a training run changes, beside its progress."""

    model: nn.Module
    optimizer: Optimizer
    average: Average
    snapshots: Snapshots


def save_progress(file: ResumeFile, progress: Progress, state: State) -> None:
    """Store all that a training run has changed."""
    file.save(
        {
            "progress": vars(progress),
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "average": state.average.state,
            "snapshots": state.snapshots.contents,
        }
    )


def restore_progress(file: ResumeFile, state: State, device: torch.device, here: str, first_epoch: int) -> Progress:
    """Take over what an earlier attempt stored, or begin after `first_epoch` epochs.

    Args:
        here: software and hardware of this attempt.
    """
    model, optimizer, average = state.model, state.optimizer, state.average
    stored = file.load(device)
    if stored is not None:
        before = copy.deepcopy((model.state_dict(), optimizer.state_dict(), average.state))
        try:
            if stored["progress"].keys() != vars(Progress()).keys():
                raise ValueError(f"its progress has the fields {', '.join(map(str, stored['progress']))}")
            progress = Progress(**stored["progress"])
            load_state(model, stored["model"])
            optimizer.load_state_dict(stored["optimizer"])
            average.restore(stored["average"])
            state.snapshots.restore(stored["snapshots"], progress.epoch)
        except Exception as error:  # whatever wrong fields provoke
            file.reject(f"it does not fit this training run ({type(error).__name__}: {str(error)[:200]})")
            load_state(model, before[0])
            optimizer.load_state_dict(before[1])
            average.restore(before[2])
        else:
            progress.resumed += 1
            if progress.made_by != here:
                progress.elsewhere.append(f"{progress.made_by}, from epoch {progress.epoch + 1} on {here}")
                progress.made_by = here
            return progress
    state.snapshots.take(first_epoch, model)
    return Progress(epoch=first_epoch, made_by=here)
