"""The one training loop: base training, retraining of a pruned network and quantization-aware training."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from winnow.config.settings import TrainingSettings
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.data.training_images import TrainingImages
from winnow.errors import Interrupted, WinnowError
from winnow.measure.energy import EnergyMeter
from winnow.models.user_code import user_code
from winnow.rng import generator, seed_all
from winnow.study.training import Training
from winnow.train.arithmetic import resolve_precision
from winnow.train.clock import Clock, Interruption
from winnow.train.devices import make_deterministic, resolve_device, surroundings
from winnow.train.divergence import divergence_named, without_value
from winnow.train.extras import Teacher, average_of
from winnow.train.history import Epoch, write_history
from winnow.train.optimizer import learning_rate, make_optimizer
from winnow.train.progress import Snapshots, State, restore_progress, save_progress
from winnow.train.resume import ResumeFile
from winnow.train.step import take_step
from winnow.train.validation import score, warn_of_nothing_learned

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
        head: parameters of the last layer, by name; they have a learning rate of their own.
        teacher: what it learns from beside the labels.
    """

    model: nn.Module
    set_mode: Callable[[nn.Module, bool], object] = nn.Module.train
    before_epoch: Callable[[int], object] = lambda _: None
    after_step: Callable[[], object] = lambda: None
    head: Collection[str] = ()
    teacher: Teacher | None = None


@dataclass(frozen=True)
class Job:
    """Which training run this is, and where it leaves what.

    Attributes:
        label: the name that errors and progress use.
        seed: order and augmentation of the data are functions of (seed, epoch, step), and of nothing else.
        resume: the state of an earlier attempt.
        history: CSV, rewritten after every epoch.
        snapshots: weights to save after that many epochs (rewind points).
        tdp_watts: see `EnergyMeter`.
        first_epoch: complete epochs that the network's weights already stand for (a rewind point): schedule and data
            order continue from there, with a fresh optimizer.
    """

    label: str
    seed: int
    resume: ResumeFile
    history: Path
    snapshots: Mapping[int, Path]
    tdp_watts: float
    first_epoch: int = 0


def train(trainee: Trainee, data: ImageDataset, settings: TrainingSettings, job: Job) -> Training:
    """Train a network in place, resuming from `job.resume` if an earlier attempt left its state there.

    Raises:
        WinnowError: the loss is not finite, the network fails, there is only one image, or the device is not there.
        Interrupted: SIGTERM came; the state is saved, and the same call resumes from it.
    """
    epochs = settings.epochs - job.first_epoch
    device = resolve_device(settings.device if epochs else "cpu", job.label)
    precision = resolve_precision(settings.precision, device)
    make_deterministic(compiled=settings.compile)
    model = trainee.model.to(device).to(memory_format=torch.channels_last)
    forward = torch.compile(model) if settings.compile else model
    optimizer = make_optimizer(model, settings, trainee.head)
    images = TrainingImages(data, settings, device, job.seed, job.label)
    validation, steps = Split.of(data, "validation", device), images.steps
    if trainee.teacher:
        trainee.teacher.begin(images, device, precision)
    trainee.after_step()
    average = average_of(model, settings)
    state = State(model, optimizer, average, Snapshots(job.snapshots))
    progress = restore_progress(job.resume, state, device, surroundings(device), job.first_epoch)
    if progress.resumed:
        log.info("%s: resuming at epoch %d, step %d", job.label, progress.epoch + 1, progress.step)
    for change in progress.elsewhere:
        log.warning("%s: not to the bit what an uninterrupted run gives: %s", job.label, change)

    def rate_at(step: int) -> float:
        return learning_rate(progress.epoch + step / steps, settings)

    def save() -> None:
        save_progress(job.resume, progress, state)
        clock.saved()

    def publish() -> None:
        """Write the files that are a function of the saved state: a killed attempt may have saved it and no more."""
        state.snapshots.write()
        write_history(job.history, progress.history)

    def diverged() -> WinnowError:
        """Discard the state, whose weights lead here again, and return the error that says why."""
        job.resume.discard()
        return WinnowError(
            f"{job.label}: the loss is not finite in epoch {progress.epoch + 1}, step {progress.step} of "
            f"{steps}, at learning rate {rate_at(progress.step - 1):.4g}; lower the learning rate, lengthen "
            "warmup_epochs, or use precision fp32"
        )

    unset = without_value(model)
    publish()
    with Interruption() as interruption:
        clock = Clock(progress, EnergyMeter(job.tdp_watts, device.index))
        while progress.epoch < settings.epochs:
            trainee.before_epoch(progress.epoch)
            trainee.set_mode(model, True)
            sums = torch.tensor([progress.loss_sum, progress.correct], dtype=torch.float64, device=device)
            name = f"{job.label} {progress.epoch + 1}/{settings.epochs}"
            left = images.epoch(progress.epoch, first=progress.step)
            for step, batch in tqdm(left, name, steps - progress.step, leave=False, disable=None):
                # dropout takes no generator, and a network may draw from others
                seed_all(generator(job.seed, progress.epoch, step).initial_seed())
                optimizer.set_rate(rate_at(step))
                progress.step = step + 1
                failure = f"a training step of {len(batch)} images fails"
                with divergence_named(model, unset, diverged), user_code(job.label, failure, _ADVICE, model):
                    sums += take_step(forward, optimizer, batch, settings, precision, trainee.teacher)
                trainee.after_step()
                average.update(model, (progress.epoch - job.first_epoch) * steps + step)
                due = interruption.came or clock.since_save() > _RESUME_SECONDS
                if due or progress.step % _CHECK_STEPS == 0 or progress.step == steps:
                    progress.loss_sum, progress.correct = sums[0].item(), int(sums[1].item())
                    if not math.isfinite(progress.loss_sum):
                        raise diverged()
                if due:
                    clock.lap()
                    save()
                if interruption.came:
                    raise Interrupted(f"{job.label}: stopped by SIGTERM in epoch {progress.epoch + 1}, state saved")
            trainee.set_mode(model, False)
            with divergence_named(model, unset, diverged), average.within(model):
                validation_loss, validation_accuracy = score(model, validation, device, precision)
                state.snapshots.take(progress.epoch + 1, model)
            if not math.isfinite(validation_loss):
                raise diverged()
            clock.lap()
            row = Epoch(
                epoch=progress.epoch + 1,
                train_loss=progress.loss_sum / len(images),
                train_accuracy=progress.correct / len(images),
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                learning_rate=rate_at(steps - 1),
                seconds=progress.epoch_seconds,
                images_per_second=len(images) / progress.epoch_seconds,
            )
            progress.end_epoch(asdict(row))
            save()  # first: what is published is never computed again
            publish()
            log.info("%s: %s", job.label, row)
    trainee.set_mode(model, False)
    average.settle(model)
    if progress.history:
        warn_of_nothing_learned(job.label, progress.history[-1]["validation_accuracy"], validation)
    seconds, energy = round(progress.seconds, 3), clock.energy()
    return Training(
        trained_here=epochs > 0,
        imported=False,
        seconds=seconds,
        energy=energy,
        total_seconds=seconds,
        total_joules=energy.joules,
        energy_estimated=energy.estimated,
        device=device.type,
        precision=precision,
        resumed=progress.resumed,
        resumed_elsewhere=tuple(progress.elsewhere),
    )
