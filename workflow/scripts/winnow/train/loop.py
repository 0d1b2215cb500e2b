"""The one training loop: base training, retraining of a pruned network and quantization-aware training."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from winnow.config.settings import TrainingSettings
from winnow.data.batches import Split, augment, epoch_order, training_batches
from winnow.data.dataset import ImageDataset
from winnow.errors import Interrupted, WinnowError
from winnow.measure.energy import EnergyMeter
from winnow.models.outputs import logits_of, training_loss
from winnow.models.user_code import user_code
from winnow.rng import generator, seed_all
from winnow.study.training import Training
from winnow.train.devices import autocast, make_deterministic, resolve_device, resolve_precision
from winnow.train.history import Epoch, write_history
from winnow.train.optimizer import learning_rate, make_optimizer
from winnow.train.progress import Progress, Snapshots, restore_progress, save_progress
from winnow.train.resume import ResumeFile
from winnow.train.validation import score

log = logging.getLogger(__name__)
_RESUME_SECONDS = 300  # a longer epoch is also saved within
_ADVICE = "correct the network; a batch norm over single values needs another training.batch_size or larger images"
_CHECK_STEPS = 50  # looking at the loss more often would stall a GPU


@dataclass(frozen=True)
class Trainee:
    """A network and what its kind needs during training.

    Attributes:
        model: the module to train, in place.
        set_mode: switch it between training (True) and inference (False) behaviour.
        before_epoch: called with the 0-based epoch before it starts, also when an epoch is resumed.
        after_step: called after every optimizer step, and before the first; holds masks in place.
    """

    model: nn.Module
    set_mode: Callable[[nn.Module, bool], Any] = nn.Module.train
    before_epoch: Callable[[int], Any] = lambda _: None
    after_step: Callable[[], Any] = lambda: None


def train(
    trainee: Trainee,
    data: ImageDataset,
    settings: TrainingSettings,
    *,
    run: str,
    seed: int,
    resume: ResumeFile,
    history: Path,
    snapshots: Mapping[int, Path],
    tdp_watts: float,
    first_epoch: int = 0,
) -> Training:
    """Train a network in place, resuming from `resume` if an earlier attempt left its state there.

    Args:
        run: the name errors and progress use.
        seed: order and augmentation of the data are functions of (seed, epoch, step), and of nothing else.
        history: CSV, rewritten after every epoch.
        snapshots: weights to save after that many epochs (rewind points).
        tdp_watts: see `EnergyMeter`.
        first_epoch: complete epochs that the network's weights already stand for (a rewind point): schedule and
            data order go on from there, with a fresh optimizer.

    Raises:
        WinnowError: the loss is not finite, the network fails, there is only one image, or the device is not there.
        Interrupted: SIGTERM came; the state is saved, and the same call goes on from it.
    """
    training = _Training(trainee, data, settings, run, seed, resume, history, snapshots, tdp_watts)
    return training.complete(first_epoch)


class _Training:
    def __init__(self, trainee, data, settings, run, seed, resume, history, snapshots, tdp_watts):
        self.settings, self.run, self.seed, self.resume = settings, run, seed, resume
        self.history, self.snapshots = history, Snapshots(snapshots)
        self.device = resolve_device(settings.device, run)
        self.precision = resolve_precision(settings.precision, self.device)
        make_deterministic()
        self.trainee = trainee
        self.model = trainee.model.to(self.device, memory_format=torch.channels_last)
        self.forward = torch.compile(self.model) if settings.compile else self.model
        self.optimizer = make_optimizer(self.model, settings)
        self.data, self.validation = (Split.of(data, name, self.device) for name in ("train", "validation"))
        if len(self.data) < 2:
            raise WinnowError(
                f"{run}: the training split has {len(self.data)} image; training needs at least 2: add images"
            )
        self.batches = training_batches(len(self.data), settings.batch_size)
        self.steps = len(self.batches)
        self.progress = Progress()
        self.meter = EnergyMeter(self.device, tdp_watts)
        self.stopping = False

    def complete(self, first_epoch: int) -> Training:
        state = (self.model, self.optimizer, self.snapshots)
        self.progress = restore_progress(self.resume, *state, self.device, first_epoch)
        self.trainee.after_step()
        if self.progress.resumed:
            log.info("%s: resuming at epoch %d, step %d", self.run, self.progress.epoch + 1, self.progress.step)
        previous = signal.signal(signal.SIGTERM, self._stop)
        try:
            self.mark, self.saved = time.monotonic(), time.monotonic()
            self.meter.start()
            while self.progress.epoch < self.settings.epochs:
                self._epoch()
        finally:
            signal.signal(signal.SIGTERM, previous)
        self.trainee.set_mode(self.model, False)
        progress = self.progress
        seconds, energy = round(progress.seconds, 3), self.meter.record(progress.joules, progress.seconds)
        return Training(
            seconds=seconds,
            energy=energy,
            total_seconds=seconds,
            total_joules=energy.joules,
            energy_estimated=energy.estimated,
            device=self.device.type,
            precision=self.precision,
            resumed=progress.resumed,
        )

    def _stop(self, *_: Any) -> None:
        self.stopping = True

    def _save(self) -> None:
        save_progress(self.resume, self.progress, self.model, self.optimizer, self.snapshots)
        self.saved = time.monotonic()

    def _clock(self) -> None:
        """Add the time and energy since the last call to the progress."""
        now = time.monotonic()
        self.progress.seconds += now - self.mark
        self.progress.epoch_seconds += now - self.mark
        self.mark = now
        self.progress.joules += self.meter.lap()

    def _epoch(self) -> None:
        progress, settings = self.progress, self.settings
        self.trainee.before_epoch(progress.epoch)
        self.trainee.set_mode(self.model, True)
        order = epoch_order(len(self.data), self.seed, progress.epoch).to(self.device)
        sums = torch.tensor([progress.loss_sum, progress.correct], dtype=torch.float64, device=self.device)
        steps = range(progress.step, self.steps)
        for step in tqdm(steps, desc=f"{self.run} {progress.epoch + 1}/{settings.epochs}", leave=False, disable=None):
            sums += self._step(order[self.batches[step]], step)
            progress.step = step + 1
            due = self.stopping or time.monotonic() - self.saved > _RESUME_SECONDS
            if due or progress.step % _CHECK_STEPS == 0 or progress.step == self.steps:
                progress.loss_sum, progress.correct = sums[0].item(), int(sums[1].item())
                self._check_finite()
            if due:
                self._clock()
                self._save()
            if self.stopping:
                raise Interrupted(f"{self.run}: stopped by SIGTERM in epoch {progress.epoch + 1}, state saved")
        self._end_epoch()

    def _step(self, index: Tensor, step: int) -> Tensor:
        """One optimizer step; returns float64 [summed loss, correct predictions]."""
        settings, progress = self.settings, self.progress
        random = generator(self.seed, progress.epoch, step)
        seed_all(random.initial_seed())  # dropout takes no generator, and a network may draw from others
        images = augment(self.data.images[index], padding=settings.crop_padding, flip=settings.flip, random=random)
        labels = self.data.labels[index]
        rate = learning_rate(progress.epoch + step / self.steps, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with user_code(self.run, f"a training step of {len(index)} images fails", _ADVICE, self.model):
            with autocast(self.device, self.precision):
                output = self.forward(self.data.normalized(images))
            loss = training_loss(output, labels, label_smoothing=settings.label_smoothing)
            loss.backward()
        self.optimizer.step()
        self.trainee.after_step()
        correct = (logits_of(output).detach().argmax(1) == labels).sum()
        return torch.stack((loss.detach().double() * len(index), correct.double()))

    def _check_finite(self) -> None:
        if not math.isfinite(self.progress.loss_sum):
            self.resume.discard()  # its weights lead here again
            epoch = self.progress.epoch
            rate = learning_rate(epoch + (self.progress.step - 1) / self.steps, self.settings)
            raise WinnowError(
                f"{self.run}: the loss is not finite in epoch {epoch + 1}, step {self.progress.step} of {self.steps}, "
                f"at learning rate {rate:.4g}; lower the learning rate, lengthen warmup_epochs, or use precision fp32"
            )

    def _end_epoch(self) -> None:
        progress, count = self.progress, len(self.data)
        self.trainee.set_mode(self.model, False)
        validation_loss, validation_accuracy = score(self.model, self.validation, self.device, self.precision)
        self._clock()
        row = Epoch(
            epoch=progress.epoch + 1,
            train_loss=progress.loss_sum / count,
            train_accuracy=progress.correct / count,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            learning_rate=learning_rate(progress.epoch + (self.steps - 1) / self.steps, self.settings),
            seconds=progress.epoch_seconds,
            images_per_second=count / progress.epoch_seconds,
        )
        log.info("%s: %s", self.run, row)
        progress.history.append(asdict(row))
        progress.epoch, progress.step, progress.epoch_seconds = progress.epoch + 1, 0, 0.0
        progress.loss_sum, progress.correct = 0.0, 0
        self.snapshots.take(progress.epoch, self.model)
        write_history(self.history, progress.history)
        self._save()
