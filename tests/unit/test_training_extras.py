"""What training does where it is asked to: torchvision's augmentation, averages of weights, parts of a batch, clipping,
distillation. Each repeats itself to the bit, also after it was killed."""

import copy
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from samples import REPOSITORY, colored_squares, model_settings, train_in, training_settings
from winnow.config.extras import AUGMENTATION, AVERAGE, DISTILLATION, extras
from winnow.config.settings import DistillSettings
from winnow.data.augmentation import augmentation
from winnow.data.training_images import Batch, TrainingImages
from winnow.errors import Interrupted
from winnow.models.build import build_model
from winnow.models.weights import load_weights, read_state, save_weights
from winnow.prune.masks import Masks
from winnow.rng import generator
from winnow.train.extras import teacher_of
from winnow.train.loop import Trainee

CPU = torch.device("cpu")
PIXELS = {
    "resized_crop": {"resized_crop": 0.25},
    "color_jitter": {"color_jitter": 0.4},
    "randaugment": {"policy": "randaugment"},
    "trivialaugment": {"policy": "trivialaugment"},
    "erasing": {"erasing": 1.0},
}
MIXES = {"mixup": {"mixup": 0.4}, "cutmix": {"cutmix": 1.0}}
EVERYTHING = {
    "resized_crop": 0.25,
    "color_jitter": 0.4,
    "policy": "trivialaugment",
    "erasing": 0.5,
    "mixup": 0.2,
    "cutmix": 1.0,
    "flip": True,
    "ema_decay": 0.9,
    "clip_norm": 1.0,
    "accumulate": 3,
}


def network(data, seed=0) -> nn.Module:
    """lenet5 with dropout."""
    layers = list(build_model(model_settings("lenet5"), data.task, seed=seed))
    return nn.Sequential(*layers[:-1], nn.Dropout(0.3), layers[-1])


def trained(folder, data, *, model=None, trainee=None, **changes) -> nn.Module:
    folder.mkdir(exist_ok=True)
    trainee = trainee or Trainee(network(data) if model is None else model)
    train_in(folder, trainee, data, training_settings(**changes))
    return trainee.model


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def batch(data, epoch=0, step=0, **changes) -> Batch:
    settings = training_settings(**{"crop_padding": 0} | changes)
    return taken(TrainingImages(data, settings, CPU, 0, "net"), epoch, step)


def taken(images: TrainingImages, epoch=0, step=0) -> Batch:
    return next(batch for _, batch in images.epoch(epoch, first=step))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("changes", PIXELS.values(), ids=PIXELS)
def test_images_are_changed_each_by_itself_and_the_same_again(changes, channels):
    data = colored_squares(120, 4, channels=channels)
    plain, first, again, later = (
        batch(data, step=step, **keys) for step, keys in ((0, {}), (0, changes), (0, changes), (1, changes))
    )
    assert first.inputs.shape == plain.inputs.shape
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.targets, plain.targets)
    assert not torch.equal(first.inputs, plain.inputs)
    assert not torch.equal(first.inputs, later.inputs)
    twins = replace(data, train_images=data.train_images[:1].expand_as(data.train_images))
    assert len({tuple(image.flatten().tolist()) for image in batch(twins, **changes).inputs}) > 8


def test_erased_rectangles_have_the_mean_colour():
    data = colored_squares(40, 4)
    images = TrainingImages(data, training_settings(erasing=1.0, crop_padding=0), CPU, 0, "net")
    erased = taken(images).inputs - batch(data).inputs
    share = (erased != 0).any(1).float().mean()
    assert 0.02 < share < 0.33
    assert batch(data, erasing=1.0).inputs[(erased != 0)].abs().max() < 0.02  # 0 is the mean


def test_a_random_crop_replaces_that_after_padding():
    data = colored_squares(40, 4)
    white = replace(data, train_images=torch.full_like(data.train_images, 255))
    assert batch(white, resized_crop=0.25, crop_padding=4).inputs.min() == batch(white).inputs.max()
    assert batch(white, crop_padding=4).inputs.min() < batch(white).inputs.max()


@pytest.mark.parametrize("changes", MIXES.values(), ids=MIXES)
def test_mixed_images_have_the_labels_of_what_they_are_made_of(changes):
    data = colored_squares(120, 4)
    plain, mixed = batch(data), batch(data, **changes)
    shares = functional.one_hot(plain.labels, 4).float()
    kept = (mixed.targets * shares).sum(1)
    other = plain.labels != plain.labels.roll(1)
    share = kept[other][0].item()
    expected = share * shares + (1 - share) * shares.roll(1, 0)
    torch.testing.assert_close(mixed.targets, expected)
    torch.testing.assert_close(mixed.targets.sum(1), torch.ones(len(mixed)))
    if "mixup" in changes:
        torch.testing.assert_close(mixed.inputs, share * plain.inputs + (1 - share) * plain.inputs.roll(1, 0))
    else:
        own = (mixed.inputs == plain.inputs).all(1).float().mean().item()
        assert own == pytest.approx(share, abs=0.02)
    assert torch.equal(mixed.labels, plain.labels if share > 0.5 else plain.labels.roll(1))


def test_a_batch_is_mixed_in_one_way_of_two():
    data, both = colored_squares(120, 4), {"mixup": 1.0, "cutmix": 1.0}
    ways = dict.fromkeys(MIXES, 0)
    for epoch in range(20):
        plain, mixed = batch(data, epoch=epoch), batch(data, epoch=epoch, **both)
        pasted = ((mixed.inputs == plain.inputs) | (mixed.inputs == plain.inputs.roll(1, 0))).all()
        ways["cutmix" if pasted else "mixup"] += 1
    assert min(ways.values()) > 2


def test_what_is_not_asked_for_is_neither_loaded_nor_counted():
    plain = training_settings()
    assert list(extras(plain)) == []
    assert list(extras(training_settings(**EVERYTHING), DistillSettings(4.0, 0.5))) == [
        AUGMENTATION,
        AVERAGE,
        DISTILLATION,
    ]
    for changes in (*PIXELS.values(), *MIXES.values()):
        assert list(extras(training_settings(**changes))) == [AUGMENTATION]
    code = "import sys, winnow.train.loop, winnow.train.extras; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert not {"torchvision", AUGMENTATION, AVERAGE, DISTILLATION} & set(loaded.stdout.split())


@pytest.mark.parametrize("stop_at", [1, 7, 18, 19, 36])
def test_all_of_it_resumes_to_the_bit(tmp_path, squares, stop_at):
    """Killed in the parts of a batch, at the end of an epoch, and in the last step of all."""
    whole = trained(tmp_path / "whole", squares, **EVERYTHING)  # 6 steps of 3 parts in each of 2 epochs
    model, calls = network(squares), []

    def kill(*_):
        if model.training:
            calls.append(1)
            if len(calls) == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

    hook = model.register_forward_pre_hook(kill)
    with pytest.raises(Interrupted, match="state saved"):
        trained(tmp_path / "killed", squares, model=model, **EVERYTHING)
    hook.remove()
    assert same(trained(tmp_path / "killed", squares, **EVERYTHING), whole)
    assert same(trained(tmp_path / "killed", squares, **EVERYTHING), whole)  # a finished one is not trained again
    assert same(trained(tmp_path / "again", squares, **EVERYTHING), whole)


def test_the_average_is_what_is_validated_and_saved(tmp_path, squares):
    """By hand, from the weights after every step; running statistics are averaged too, and masks hold."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 900, 4))
    keep = torch.rand(model[0].weight.shape, generator=generator(0)) > 0.5
    masks, seen, shown = Masks({"0.weight": keep}), [], []
    masks.apply(model)
    enforce = masks.enforcer(model)

    def after_step():
        enforce()
        seen.append({name: value.clone() for name, value in model.state_dict().items()})

    model.register_forward_hook(lambda *_: None if model.training else shown.append(model[4].weight.clone()))
    trained(tmp_path / "a", squares, trainee=Trainee(model, after_step=after_step), ema_decay=0.5, epochs=1)
    expected, *steps = seen
    for number, state in enumerate(steps, 1):
        decay = min(0.5, (1 + number) / (10 + number))
        floats = {name: decay * expected[name] + (1 - decay) * value for name, value in state.items()}
        expected = floats | {name: value for name, value in state.items() if not value.is_floating_point()}
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert torch.equal(shown[-1], model[4].weight)
    assert not torch.equal(model[4].weight, steps[-1]["4.weight"])
    masks.check(model, "net")


def test_a_range_of_which_nothing_was_seen_is_not_averaged(tmp_path, squares):
    class Range(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("low", torch.tensor(float("inf")))

        def forward(self, x):
            if self.training:
                self.low.copy_(torch.minimum(self.low, x.detach().min()))
            return x

    model = nn.Sequential(nn.Flatten(), Range(), nn.Linear(3 * 1024, 4))
    trained(tmp_path / "a", squares, model=model, ema_decay=0.9, crop_padding=0)
    assert torch.isfinite(model[1].low)


@pytest.mark.parametrize("accumulate", [2, 3, 9])
def test_a_batch_in_parts_gives_the_same_steps(tmp_path, squares, accumulate):
    """Up to rounding: batches of 16 images, in equal and in unequal parts, and in no more than 8, of two images."""
    start = build_model(model_settings("lenet5"), squares.task, seed=0)
    model = {name: copy.deepcopy(start) for name in ("whole", "parts")}
    calls = []
    model["parts"].register_forward_pre_hook(lambda _, images: calls.append(len(images[0])))
    data = replace(squares, train_index=squares.train_index[:96])
    for name, count in (("whole", 1), ("parts", accumulate)):
        trained(tmp_path / name, data, model=model[name], accumulate=count)
    begun, whole, parts = (
        torch.cat([values.detach().flatten() for values in one.parameters()]) for one in (start, *model.values())
    )
    # rounding may bring a value to the other side of a ReLU, which single weights show; a mean of the parts' means is
    # off by a fifth and more
    assert (whole - parts).norm() < 1e-2 * (whole - begun).norm()
    assert min(calls) >= 2
    expected = [len(part) for part in torch.arange(16).tensor_split(min(accumulate, 8))]
    assert calls[: len(expected)] == expected


def test_a_long_gradient_is_shortened(tmp_path, squares):
    """With plain SGD at a constant rate, the first step is as long as rate x clip_norm, or as the gradient."""
    plain = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "warmup_epochs": 0, "epochs": 1}
    plain |= {"schedule": "multi_step", "milestones": [1], "lr": 0.1}

    def first_step(name: str, **changes) -> float:
        model, lengths = build_model(model_settings("lenet5"), squares.task, seed=0), []
        start = flat(model)

        def after_step():
            lengths.append(float((flat(model) - start).norm()))

        trained(tmp_path / name, squares, trainee=Trainee(model, after_step=after_step), **plain, **changes)
        return lengths[1]

    free = first_step("free")
    assert free > 0.02
    assert first_step("clipped", clip_norm=0.1) == pytest.approx(0.01, rel=1e-3)
    assert first_step("loose", clip_norm=1e3) == pytest.approx(free, rel=1e-5)


def teacher(folder, data, weight=0.5, temperature=2.0):
    """A lenet5 of other weights than those that learn."""
    save_weights(folder / "teacher.safetensors", build_model(model_settings("lenet5"), data.task, seed=9))
    settings = DistillSettings(temperature=temperature, weight=weight)
    return teacher_of(settings, model_settings("lenet5"), data.task, folder / "teacher.safetensors")


def test_the_loss_is_that_of_the_paper(tmp_path):
    data = colored_squares(40, 4)
    images = TrainingImages(data, training_settings(crop_padding=0), CPU, 0, "net")
    part, wise = taken(images), teacher(tmp_path, data, weight=0.3)
    wise.begin(images, CPU, "fp32")
    own = build_model(model_settings("lenet5"), data.task, seed=9).eval()
    load_weights(tmp_path / "teacher.safetensors", own)
    logits = torch.randn(len(part), 4, generator=generator(1))
    wanted = functional.softmax(own(part.inputs).detach() / 2, 1)
    divergence = (wanted * (wanted.log() - functional.log_softmax(logits / 2, 1))).sum(1).mean()
    expected = 0.7 * 1.5 + 0.3 * 4 * divergence
    torch.testing.assert_close(wise.loss(torch.tensor(1.5), logits, part), expected)


@pytest.mark.parametrize("changes", [{"crop_padding": 0}, {"crop_padding": 2}, {"crop_padding": 0, "mixup": 0.2}])
def test_the_teacher_sees_an_image_once_where_it_is_always_the_same(tmp_path, squares, changes):
    wise, seen = teacher(tmp_path, squares), []
    wise._model.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    trainee = Trainee(network(squares), teacher=wise)
    one = trained(tmp_path / "a", squares, trainee=trainee, epochs=3, **changes)
    images = len(squares.train_index)
    assert sum(seen) == (images if changes == {"crop_padding": 0} else 3 * images)
    trainee = Trainee(network(squares), teacher=teacher(tmp_path, squares))
    other = trained(tmp_path / "b", squares, trainee=trainee, epochs=3, **changes)
    assert same(one, other)
    assert not same(one, trained(tmp_path / "c", squares, epochs=3, **changes))


def test_a_network_learns_from_its_teacher_alone(tmp_path, squares):
    """With all weight on it, labels have no part: those of a data set with shuffled ones change nothing."""
    shuffled = replace(squares, train_labels=squares.train_labels.roll(1))
    one, other = (
        trained(tmp_path / name, data, trainee=Trainee(network(data), teacher=teacher(tmp_path, data, weight=1.0)))
        for name, data in (("a", squares), ("b", shuffled))
    )
    assert same(one, other)
    assert teacher_of(None, model_settings("lenet5"), squares.task, "none") is None


def test_the_teacher_stays_as_it_is(tmp_path, squares):
    wise = teacher(tmp_path, squares)
    trained(tmp_path / "a", squares, trainee=Trainee(network(squares), teacher=wise))
    before = read_state(tmp_path / "teacher.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in wise._model.state_dict().items())


def test_augmentation_leaves_what_else_is_random_alone(squares):
    """A network's dropout draws the same, whatever happens to images."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    batch(squares, **{key: value for key, value in EVERYTHING.items() if key not in ("ema_decay", "clip_norm")})
    assert torch.equal(torch.get_rng_state(), before)
    assert augmentation(training_settings(mixup=1.0), squares).of_pixels(squares.train_images) is squares.train_images
