"""Networks: published sizes, shapes for other data, and errors of the user's own."""

import sys

import pytest
import torch

from samples import colored_squares, model_settings
from winnow.errors import WinnowError
from winnow.models.build import build_model, load_model
from winnow.models.weights import load_weights, read_state, save_weights
from winnow.study.state_bytes import state_bytes
from winnow.study.task import Task

MB = 2**20
NETWORKS = [
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenet_v2",
    "vgg16_bn",
    "resnet20",
    "resnet56",
    "lenet_300_100",
    "lenet5",
]


def data(classes=10, **changes):
    return colored_squares(classes * 2, classes, **changes)


def parameters(name, **changes):
    model = build_model(model_settings(name), data(**changes).task, seed=0)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("classes", "megabytes"), [(10, 42.73), (100, 42.90)])
def test_resnet18_has_the_size_of_the_2023_study(classes, megabytes, tmp_path):
    model = build_model(model_settings("resnet18"), data(classes).task, seed=0)
    save_weights(tmp_path / "weights.safetensors", model)
    said = state_bytes(tmp_path / "weights.safetensors")
    assert round(said / MB, 2) == megabytes
    torch.save(read_state(tmp_path / "weights.safetensors"), tmp_path / "weights.pt")
    assert said == (tmp_path / "weights.pt").stat().st_size


def test_published_parameter_counts():
    assert parameters("resnet20") == 269_722  # He et al. 2016: 0.27 M
    assert round(parameters("resnet56") / 1e6, 2) == 0.85
    assert parameters("lenet_300_100", size=28, channels=1) == 266_610
    assert parameters("lenet5", size=28, channels=1) == 431_080  # the form of Han et al. 2015
    assert round(parameters("vgg16_bn") / 1e6, 1) == 14.7


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("channels", "classes"), [(3, 10), (1, 7)])
def test_every_network_fits_the_data(name, channels, classes):
    model = build_model(model_settings(name), data(classes, channels=channels).task, seed=0).eval()
    assert model(torch.zeros(2, channels, 32, 32)).shape == (2, classes)


@pytest.mark.parametrize(("name", "pixels"), [("resnet18", 4), ("mobilenet_v2", 4)])
def test_the_cifar_stem_keeps_pixels(name, pixels):
    model = build_model(model_settings(name, stem="cifar"), data().task, seed=0).eval()
    seen = []
    last = model.layer4 if name == "resnet18" else model.features
    last.register_forward_hook(lambda *arguments: seen.append(arguments[2].shape[-1]))
    model(torch.zeros(1, 3, 32, 32))
    assert seen == [pixels]


def test_projection_shortcuts_add_convolutions():
    identity, projection = (
        build_model(model_settings("resnet20", shortcut=kind), data().task, seed=0)
        for kind in ("identity", "projection")
    )
    count = [sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) for model in (identity, projection)]
    assert count == [19, 21]


def test_initial_weights_are_a_function_of_the_seed_alone():
    torch.manual_seed(1)
    one = build_model(model_settings("lenet5"), data().task, seed=3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    same, other = (build_model(model_settings("lenet5"), data().task, seed=seed) for seed in (3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one[0].weight, same[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)


OWN = """
from torch import nn

def small(channels, size, classes, width=4):
    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.Flatten(), nn.Linear(width * (size - 2) ** 2, classes))

def wrong(channels, size, classes):
    return nn.Flatten()

def nothing(**_):
    return None
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    sys.modules.pop("my_networks", None)


@pytest.mark.usefixtures("own_module")
def test_the_users_own_network_is_imported_from_the_working_directory():
    settings = model_settings("mine", name=None, factory="my_networks:small", arguments={"width": 6})
    model = build_model(settings, data().task, seed=0)
    assert model[0].weight.shape == (6, 3, 3, 3)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("factory", "arguments", "message"),
    [
        ("my_networks:absent", {}, r"cannot import factory 'my_networks:absent'"),
        ("no_such_module:net", {}, r"cannot import factory 'no_such_module:net'"),
        ("my_networks:wrong", {}, r"output is \(2, 3072\), expected logits of shape \(2, 10\)"),
        ("my_networks:nothing", {}, r"returned NoneType, not a torch module"),
        ("my_networks:small", {"widht": 1}, r"refused the arguments .*widht"),
    ],
)
def test_what_is_wrong_with_the_users_network_is_said(factory, arguments, message):
    with pytest.raises(WinnowError, match=message):
        build_model(model_settings("mine", name=None, factory=factory, arguments=arguments), data().task, seed=0)


def test_a_network_too_deep_for_the_images():
    with pytest.raises(WinnowError, match=r"does not accept 3x16x16 images .*set image_size"):
        build_model(model_settings("vgg16_bn"), data(size=16).task, seed=0)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, build_model(model_settings("lenet5"), data().task, seed=0))
    with pytest.raises(WinnowError, match=r"weights.safetensors: does not fit the network"):
        load_model(model_settings("lenet_300_100"), data().task, path)
    path.write_bytes(b"\x01" * 50)
    with pytest.raises(WinnowError, match=r"not readable as safetensors"):
        load_weights(path, build_model(model_settings("lenet5"), data().task, seed=0))


def test_a_network_that_tells_checkpoints_by_version_is_loaded(tmp_path):
    """torchvision's MNASNet refuses a state dict without its version, and changes its first layers for old ones."""
    settings = model_settings("versioned", name=None, factory="odd_networks:versioned")
    built = build_model(settings, Task(channels=3, size=32, classes=10), seed=1)
    save_weights(tmp_path / "w.safetensors", built)
    loaded = load_model(settings, Task(channels=3, size=32, classes=10), tmp_path / "w.safetensors")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in built.state_dict().items())
