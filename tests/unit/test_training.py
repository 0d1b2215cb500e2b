"""The trainer: what it computes, that it repeats itself to the bit, and that killing it loses nothing."""

import csv
import os
import re
import signal
from dataclasses import replace

import pytest
import torch
from torch import nn

from samples import colored_squares, model_settings, training_settings
from winnow.data.batches import augment, epoch_order
from winnow.errors import Interrupted, WinnowError
from winnow.models.build import build_model
from winnow.models.weights import load_weights
from winnow.rng import generator
from winnow.train.arithmetic import autocast
from winnow.train.loop import Job, Trainee, train
from winnow.train.optimizer import learning_rate, make_optimizer
from winnow.train.resume import ResumeFile


def run(tmp_path, data, settings, *, name="a", seed=0, trainee=None, snapshots=None, key="k", before_epoch=None):
    """Train lenet5 with dropout in a folder of its own; return (model, record, history rows)."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    if trainee is None:
        layers = build_model(model_settings("lenet5"), data.task, seed=seed)
        trainee = Trainee(nn.Sequential(*list(layers)[:-1], nn.Dropout(0.3), list(layers)[-1]))
    if before_epoch:
        trainee = replace(trainee, before_epoch=before_epoch)
    record = train(
        trainee,
        data,
        settings,
        Job(
            label=name,
            seed=seed,
            resume=ResumeFile(folder / "weights.resume", key),
            history=folder / "history.csv",
            snapshots={epoch: folder / file for epoch, file in (snapshots or {}).items()},
            tdp_watts=65.0,
        ),
    )
    with (folder / "history.csv").open() as file:
        return trainee.model, record, list(csv.DictReader(file))


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_it_learns_and_writes_a_history(tmp_path, squares):
    _, record, history = run(tmp_path, squares, training_settings(epochs=20, lr=0.02))
    assert float(history[-1]["validation_accuracy"]) > 0.9
    assert float(history[-1]["train_loss"]) < float(history[0]["train_loss"])
    assert [int(row["epoch"]) for row in history] == list(range(1, 21))
    assert float(history[0]["learning_rate"]) > float(history[-1]["learning_rate"])
    assert record.seconds == pytest.approx(sum(float(row["seconds"]) for row in history), rel=0.05)
    assert record.energy.estimated is True
    assert record.energy.joules > 0


@pytest.mark.parametrize("images", ["black", "shuffled"])
def test_a_training_that_learns_nothing_says_so(tmp_path, squares, caplog, images):
    """One color everywhere, or labels that have nothing to do with the images."""
    pixels = squares.train_images
    other = pixels[torch.randperm(len(pixels), generator=generator(0))] if images == "shuffled" else pixels * 0
    run(tmp_path, replace(squares, train_images=other), training_settings(epochs=1))
    assert "a: has learned nothing: it is no better on" in caplog.text
    run(tmp_path, squares, training_settings(epochs=20, lr=0.02), name="b")
    assert "b: has learned nothing" not in caplog.text
    run(tmp_path, squares.few(train=8, validation=2, test=2), training_settings(epochs=1, batch_size=4), name="few")
    assert "few: has learned nothing" not in caplog.text


def test_the_same_seed_gives_the_same_bits(tmp_path, squares):
    settings = training_settings(flip=True, label_smoothing=0.1)
    one, _, _ = run(tmp_path, squares, settings, name="a")
    torch.manual_seed(99)  # what happened before in the process does not matter
    two, _, _ = run(tmp_path, squares, settings, name="b")
    other, _, _ = run(tmp_path, squares, settings, name="c", seed=1)
    assert same(one, two)
    assert not same(one, other)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stop_at", [1, 4, 6, 9, 12])
def test_a_killed_training_ends_in_the_same_bits(tmp_path, squares, stop_at, precision):
    """SIGTERM in the middle of an epoch, at its end, and in the last step of all."""
    settings = training_settings(precision=precision)  # 6 steps in each of 2 epochs
    whole, _, rows = run(tmp_path, squares, settings, name="whole", snapshots={0: "init", 1: "one"})
    layers = build_model(model_settings("lenet5"), squares.task, seed=0)
    model = nn.Sequential(*list(layers)[:-1], nn.Dropout(0.3), list(layers)[-1])
    calls = []

    def kill(*_):
        if model.training:
            calls.append(1)
            if len(calls) == stop_at:
                (tmp_path / "killed" / "init").unlink()  # a cluster's cancelled job still runs when its outputs go
                os.kill(os.getpid(), signal.SIGTERM)

    model.register_forward_pre_hook(kill)
    with pytest.raises(Interrupted, match="state saved"):
        run(tmp_path, squares, settings, name="killed", trainee=Trainee(model), snapshots={0: "init", 1: "one"})
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    for declared in ("init", "one", "history.csv"):  # as Snakemake does before the next attempt
        (tmp_path / "killed" / declared).unlink(missing_ok=True)
    resumed, record, again = run(tmp_path, squares, settings, name="killed", snapshots={0: "init", 1: "one"})
    assert record.resumed == 1
    assert same(whole, resumed)
    timeless = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in (*rows, *again)]
    assert timeless[:2] == timeless[2:]
    for name in ("init", "one"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_state_of_another_training_is_discarded_loudly(tmp_path, squares, caplog):
    run(tmp_path, squares, training_settings(epochs=1), key="before")
    _, record, history = run(tmp_path, squares, training_settings(epochs=1), key="after")
    assert record.resumed == 0
    assert len(history) == 1
    assert "parameters, inputs or code have changed" in caplog.text


def test_a_damaged_state_is_discarded_loudly(tmp_path, squares, caplog):
    run(tmp_path, squares, training_settings(epochs=1))
    state = tmp_path / "a" / "weights.resume"
    state.write_bytes(state.read_bytes()[:-200])
    _, record, _ = run(tmp_path, squares, training_settings(epochs=1))
    assert record.resumed == 0
    assert "it is damaged" in caplog.text


def flipped(content: bytes) -> bytes:
    """A bit of a weight, in the middle of the file."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [flipped, lambda _: b"", lambda _: b"x" * 20, lambda content: content[:1000]])
def test_no_damage_of_a_state_goes_unnoticed_or_in_the_way(tmp_path, squares, caplog, damage):
    whole, _, _ = run(tmp_path, squares, training_settings())
    state = tmp_path / "a" / "weights.resume"
    state.write_bytes(damage(state.read_bytes()))
    again, record, history = run(tmp_path, squares, training_settings())
    assert record.resumed == 0
    assert len(history) == 2
    assert same(whole, again)
    assert f"discarding {state}: it is damaged (its checksum does not fit)" in caplog.text


@pytest.mark.parametrize("field", ["progress", "model", "optimizer", "average", "snapshots"])
@pytest.mark.parametrize("wrong", [{}, {"epoch": "two"}, {"params": [], "more": torch.zeros(2)}, None])
def test_a_state_with_wrong_fields_is_discarded_loudly(tmp_path, squares, caplog, field, wrong):
    """As code that was changed without its digest would write; the network is as it was before the attempt."""
    settings = training_settings(ema_decay=0.9 if field == "average" else None)
    whole, _, _ = run(tmp_path, squares, settings, snapshots={0: "init"})
    file = ResumeFile(tmp_path / "a" / "weights.resume", "k")
    state = file.load(torch.device("cpu"))
    if wrong is None:
        del state[field]
    file.save(state | ({} if wrong is None else {field: wrong}))
    again, record, _ = run(tmp_path, squares, settings, snapshots={0: "init"})
    assert record.resumed == 0
    assert same(whole, again)
    assert f"discarding {file.path}: it does not fit this training run" in caplog.text


def test_a_finished_state_is_not_trained_again(tmp_path, squares):
    """The job may die after training, while it exports: the next attempt starts behind the last epoch."""
    files = {0: "init", 2: "two"}
    one, _, rows = run(tmp_path, squares, training_settings(), snapshots=files)
    contents = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir() if path.suffix != ".resume"}
    for name in contents:  # as Snakemake does before the next attempt
        (tmp_path / "a" / name).unlink()
    calls = []
    two, record, history = run(tmp_path, squares, training_settings(), snapshots=files, before_epoch=calls.append)
    assert record.resumed == 1
    assert not calls
    assert history == rows
    assert same(one, two)
    assert {name: (tmp_path / "a" / name).read_bytes() for name in contents} == contents


def test_a_state_from_elsewhere_says_so(tmp_path, squares, caplog, monkeypatch):
    run(tmp_path, squares, training_settings())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 12)
    _, record, _ = run(tmp_path, squares, training_settings())
    (change,) = record.resumed_elsewhere
    assert re.fullmatch(r"torch \S+, \d+ threads, CPU with \S+, from epoch 3 on torch \S+, 12 threads, CPU .*", change)
    assert f"a: not to the bit what an uninterrupted run gives: {change}" in caplog.text
    monkeypatch.undo()
    _, again, _ = run(tmp_path, squares, training_settings())
    assert (again.resumed, again.resumed_elsewhere) == (1, ())  # the second attempt saved nothing


def test_snapshots_are_the_weights_of_their_epoch(tmp_path, squares):
    settings = training_settings(epochs=2, schedule="multi_step", milestones=[2], warmup_epochs=0)
    run(tmp_path, squares, settings, name="two", snapshots={0: "init", 1: "one"})
    one, _, _ = run(tmp_path, squares, replace(settings, epochs=1), name="one")
    fresh, loaded = (
        nn.Sequential(*list(m)[:-1], nn.Dropout(0.3), list(m)[-1])
        for m in (build_model(model_settings("lenet5"), squares.task, seed=0) for _ in range(2))
    )
    load_weights(tmp_path / "two" / "init", loaded)
    assert same(loaded, fresh)
    load_weights(tmp_path / "two" / "one", loaded)
    assert same(loaded, one)


def test_divergence_names_run_epoch_and_rate(tmp_path, squares):
    settings = training_settings(epochs=5, lr=1e12, warmup_epochs=0)
    with pytest.raises(WinnowError, match=r"a: the loss is not finite in epoch \d, step \d+ of 6, at learning rate"):
        run(tmp_path, squares, settings)
    assert not (tmp_path / "a" / "weights.resume").exists()


class Rounding(nn.Module):
    """Has a range like a fake quantizer, and raises as one does when that is no number."""

    def __init__(self):
        super().__init__()
        self.register_buffer("low", torch.tensor(float("inf")))
        self.register_buffer("factor", torch.ones(1))

    def forward(self, x):
        self.low, self.factor = x.detach().min(), x.detach().abs().max().reshape(1)
        if not self.factor.isfinite():
            raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")
        return x


def test_what_breaks_because_values_are_no_numbers_is_a_divergence(tmp_path, squares):
    layers = list(build_model(model_settings("lenet5"), squares.task, seed=0))
    settings = training_settings(epochs=5, lr=1e12, warmup_epochs=0)
    with pytest.raises(WinnowError, match=r"a: the loss is not finite in epoch 1, step \d of 6, at learning rate"):
        run(tmp_path, squares, settings, trainee=Trainee(nn.Sequential(*layers, Rounding())))


def test_what_breaks_for_another_reason_is_no_divergence(tmp_path, squares):
    layers = list(build_model(model_settings("lenet5"), squares.task, seed=0))
    with pytest.raises(WinnowError, match=r"a: a training step of 16 images fails in layer \S+ \(RuntimeError: mine"):
        run(tmp_path, squares, training_settings(), trainee=Trainee(nn.Sequential(*layers, Mine(), Rounding())))


class Mine(nn.Module):
    def forward(self, x):
        raise RuntimeError(f"mine, of {len(x)}")


def test_a_gpu_that_is_not_there(tmp_path, squares, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(WinnowError, match=r"a: training.device is cuda, but torch sees no GPU"):
        run(tmp_path, squares, training_settings(device="cuda"))


def test_the_order_depends_on_seed_and_epoch_only():
    assert torch.equal(epoch_order(50, 1, 2), epoch_order(50, 1, 2))
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
    assert sorted(epoch_order(50, 0, 0).tolist()) == list(range(50))


def test_augmentation_shifts_by_at_most_the_padding_and_mirrors_half():
    images = torch.zeros(400, 1, 9, 9, dtype=torch.uint8)
    images[:, 0, 4, 4] = 7
    moved = augment(images, padding=2, flip=False, random=generator(0))
    positions = torch.nonzero(moved)[:, 2:] - 4
    assert len(positions) == 400
    assert positions.abs().max() == 2
    assert {tuple(p) for p in positions.tolist()} == {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}
    left = torch.zeros(400, 1, 4, 4, dtype=torch.uint8)
    left[..., 0] = 1
    mirrored = augment(left, padding=0, flip=True, random=generator(1))[:, 0, 0, 3].float().mean()
    assert 0.4 < mirrored < 0.6
    assert torch.equal(augment(left, padding=0, flip=False, random=generator(1)), left)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "multi_step"])
def test_schedules_warm_up_and_come_down(schedule):
    settings = training_settings(epochs=10, warmup_epochs=2, schedule=schedule, milestones=[5, 8], lr=1.0)
    rates = [learning_rate(epoch / 10, settings) for epoch in range(100)]
    assert rates[:21] == sorted(rates[:21])
    assert max(rates) == pytest.approx(1.0)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert min(rates) > 0
    if schedule == "multi_step":
        assert [learning_rate(epoch, settings) for epoch in (4.9, 5, 8)] == pytest.approx([1, 0.1, 0.01])
    else:
        assert rates[-1] < 0.01


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norms_and_biases_are_spared_from_decay_on_request(optimizer):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    spared = make_optimizer(model, training_settings(optimizer=optimizer, decay_norm_and_bias=False))
    by_decay = {group.weight_decay: {p.ndim for p in group.parameters} for group in spared.groups}
    assert by_decay == {5e-4: {4, 2}, 0.0: {1}}
    everything = make_optimizer(model, training_settings(optimizer=optimizer, decay_norm_and_bias=True))
    assert [group.weight_decay for group in everything.groups] == [5e-4]


def test_a_last_batch_of_one_image_is_trained_too(tmp_path):
    data = colored_squares(105, 4)
    data = replace(data, train_index=data.train_index[:33])
    run(tmp_path, data, training_settings(epochs=1))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_grouped_convolutions_stay_in_float(precision):
    """On a CPU their gradient in bf16 takes several times as long; it is so in a captured graph, too."""
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.ConvTranspose2d(4, 4, 2, groups=2))
    graph = torch.export.export(module, (torch.zeros(2, 4, 8, 8),)).module()
    images = torch.randn(2, 4, 8, 8, generator=generator(0))
    seen = []
    for layer in module:
        layer.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    with autocast(torch.device("cpu"), precision):
        outputs = [module(images), graph(images)]
    narrow = torch.bfloat16 if precision == "bf16" else torch.float32
    assert seen == [narrow, torch.float32, torch.float32]
    assert [output.dtype for output in outputs] == [torch.float32, torch.float32]
    assert torch.equal(*outputs)
