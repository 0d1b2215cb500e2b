"""Steps of the optimizers: torch's own to the bit, also with what torch's classes refuse."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn, optim

from samples import REPOSITORY
from winnow.rng import generator
from winnow.train.updates import AdamW, Group, Sgd

DECAY = 0.01
KINDS = {
    "sgd": (lambda groups: Sgd(groups, 0.9), lambda groups: optim.SGD(groups, momentum=0.9, nesterov=True, fused=True)),
    "no momentum": (lambda groups: Sgd(groups, 0.0), lambda groups: optim.SGD(groups, fused=True)),
    "adamw": (AdamW, lambda groups: optim.AdamW(groups, fused=True)),
}


def network():
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 10)
    for parameter in nn.ModuleList(layers).parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator(parameter.numel()))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def ours(kind, model):
    wide, narrow = ([p for p in model.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
    return KINDS[kind][0]([Group(wide, DECAY), Group(narrow, 0.0, scale=0.5)])


def torchs(kind, model):
    wide, narrow = ([p for p in model.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
    return KINDS[kind][1]([{"params": wide, "weight_decay": DECAY}, {"params": narrow, "weight_decay": 0.0}])


def images(step):
    return torch.randn(5, 3, 8, 8, generator=generator(step))


def gradients(model, optimizer, step, without=()):
    optimizer.zero_grad()
    model(images(step)).square().mean().backward()
    for parameter in without:
        parameter.grad = None


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch_to_the_bit(kind):
    one, other = network(), network()
    mine, theirs = ours(kind, one), torchs(kind, other)
    begin = copy.deepcopy(one)
    for step in range(12):
        rate = 0.01 / (step + 1)
        mine.set_rate(rate)
        for group, scale in zip(theirs.param_groups, (1.0, 0.5), strict=True):
            group["lr"] = rate * scale
        for model, optimizer in ((one, mine), (other, theirs)):
            gradients(model, optimizer, step)
            optimizer.step()
    assert same(one, other)
    assert not same(one, begin)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_resumes_to_the_bit(kind):
    one, other = network(), network()
    first, second = ours(kind, one), ours(kind, other)
    for step in range(8):
        if step == 4:
            stored = copy.deepcopy(second.state_dict())
            second = ours(kind, other)
            second.load_state_dict(stored)
        for model, optimizer in ((one, first), (other, second)):
            optimizer.set_rate(0.01)
            gradients(model, optimizer, step)
            optimizer.step()
    assert same(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_may_get_its_first_gradient_later(kind):
    """As in a network that leaves blocks out at random; torch's SGD fails here. The others move as ever."""
    model = network()
    optimizer, late = ours(kind, model), model[3].weight
    optimizer.set_rate(0.01)
    before = late.detach().clone()
    for step in range(3):
        gradients(model, optimizer, step, without=[late] if step < 2 else [])
        optimizer.step()
        assert torch.equal(late, before) == (step < 2)
    alone = network()
    alone[3].weight.data.copy_(before)
    reference = ours(kind, alone)
    reference.set_rate(0.01)
    alone[3].weight.grad = late.grad.clone()
    reference.step()
    assert torch.equal(alone[3].weight, late)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_the_state_of_other_weights_is_refused(kind):
    model = network()
    optimizer = ours(kind, model)
    optimizer.set_rate(0.01)
    gradients(model, optimizer, 0)
    optimizer.step()
    stored = optimizer.state_dict()
    for wrong in (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2)), nn.Linear(2, 2)):
        with pytest.raises(ValueError, match=r"."):
            ours(kind, wrong).load_state_dict(stored)


def test_training_does_not_load_the_compiler():
    """Its thousand modules take a second of every training run."""
    program = f"""
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
sys.path[:0] = [{str(REPOSITORY / "tests")!r}, {str(REPOSITORY / "workflow" / "scripts")!r}]
from samples import colored_squares, model_settings, training_settings
from winnow.models.build import build_model
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile
data = colored_squares(40, 2)
with TemporaryDirectory() as folder:
    state, history = Path(folder) / "state", Path(folder) / "history.csv"
    model = build_model(model_settings("lenet5"), data.task, seed=0)
    train(Trainee(model), data, training_settings(epochs=1), Job("a", 0, ResumeFile(state, "k"), history, {{}}, 65.0))
assert "torch.optim" in sys.modules
print("torch._dynamo" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["False"], ran.stderr
