"""Networks: published sizes, shapes for other data, and errors of the user's own."""

import sys

import pytest
import torch
from torch.nn import functional

from samples import colored_squares, model_settings
from winnow.config.catalog import NETWORKS as CATALOG
from winnow.errors import WinnowError
from winnow.models.build import build_model, load_model
from winnow.models.outputs import logits_of, training_loss
from winnow.models.weights import load_weights, read_state, save_weights
from winnow.study.state_bytes import state_bytes
from winnow.study.task import Task

MB = 2**20
NETWORKS = [
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "shufflenet_v2_x1_0",
    "densenet121",
    "convnext_tiny",
    "vit_tiny",
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
    # with torchvision's 1,000 classes; DeiT-Tiny has 5.7 M on 224 x 224 images (Touvron et al. 2021)
    published = {
        "mobilenet_v3_small": 2_542_856,
        "efficientnet_b0": 5_288_548,
        "shufflenet_v2_x1_0": 2_278_604,
        "densenet121": 7_978_856,
        "convnext_tiny": 28_589_128,
    }
    for name, count in published.items():
        model = build_model(model_settings(name), Task(3, 64, 1000), seed=0)
        assert sum(parameter.numel() for parameter in model.parameters()) == count
    vit = build_model(model_settings("vit_tiny"), Task(3, 224, 1000), seed=0)
    assert round(sum(parameter.numel() for parameter in vit.parameters()) / 1e6, 1) == 5.7


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("channels", "classes"), [(3, 10), (1, 7)])
def test_every_network_fits_the_data(name, channels, classes):
    model = build_model(model_settings(name), data(classes, channels=channels).task, seed=0).eval()
    assert model(torch.zeros(2, channels, 32, 32)).shape == (2, classes)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name, network in CATALOG.items() if network.stems])
def test_the_cifar_stem_keeps_four_times_four_pixels(name, channels):
    model = build_model(model_settings(name, stem="cifar"), data(channels=channels).task, seed=0).eval()
    seen = []
    last = {"resnet": "layer4", "shufflenet": "conv5"}.get(name.rstrip("0123456789").partition("_")[0], "features")
    model.get_submodule(last).register_forward_hook(lambda *arguments: seen.append(arguments[2].shape[-1]))
    model(torch.zeros(1, channels, 32, 32))
    assert seen == [4]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smallest_image_is_what_it_needs(name):
    """In inference and in training; smaller ones the configuration refuses."""
    size = max(4, CATALOG[name].smallest_image)
    model = build_model(model_settings(name), Task(3, size, 10), seed=0)
    assert model.train()(torch.randn(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize(("size", "patch"), [(16, 4), (28, 4), (32, 4), (56, 4), (64, 8), (96, 8), (224, 16)])
def test_a_vit_cuts_images_into_patches_that_fit(size, patch):
    model = build_model(model_settings("vit_tiny"), Task(1, size, 10), seed=0)
    assert (model.patch_size, size // patch <= 14) == (patch, True)
    other = model(torch.randn(2, 1, size, size))
    assert not torch.equal(other[0], other[1])


@pytest.mark.parametrize(("size", "near"), [(31, 32), (34, 32), (122, 120), (17, 16)])
def test_a_vit_refuses_images_that_it_cannot_cut(size, near):
    with pytest.raises(WinnowError, match=rf"model vit_tiny: images of {size} pixels cannot be cut .* e.g. to {near}$"):
        build_model(model_settings("vit_tiny"), Task(3, size, 10), seed=0)
    build_model(model_settings("vit_tiny"), Task(3, near, 10), seed=0)


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

class Several(nn.Module):
    def __init__(self, channels, size, classes, named):
        super().__init__()
        self.named, self.features = named, nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, 8))
        self.main, self.side = nn.Linear(8, classes), nn.Linear(8, classes)

    def forward(self, x):
        x = self.features(x)
        outputs = {"features": x, "main": self.main(x), "aux_side": self.side(x)}
        return outputs if self.named else tuple(outputs.values())
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
@pytest.mark.parametrize(("named", "output"), [(True, "main"), (True, 1), (False, 1)])
def test_an_output_is_chosen_by_name_or_place(named, output):
    """In training the others stay, and those that are auxiliary count."""
    settings = model_settings(
        "several", name=None, factory="my_networks:Several", arguments={"named": named}, output=output
    )
    model, images, labels = build_model(settings, data().task, seed=0), torch.randn(3, 3, 32, 32), torch.arange(3)
    features = model.features(images)
    logits, side = model.main(features), model.side(features)
    assert torch.equal(model.eval()(images), logits)
    trained = model.train()(images)
    assert torch.equal(logits_of(trained), logits)
    expected = functional.cross_entropy(logits, labels) + 0.3 * functional.cross_entropy(side, labels)
    torch.testing.assert_close(training_loss(trained, labels), expected)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("factory", "arguments", "output", "message"),
    [
        ("Several", {"named": True}, "logit", r"output is to be logit, and it returns features, main, aux_side;"),
        ("Several", {"named": False}, 3, r"output is to be 3, and it returns 0, 1, 2; correct its key output"),
        ("Several", {"named": True}, "features", r"its output is \(2, 8\), expected logits of shape \(2, 10\)"),
        ("small", {}, 0, r"its output is to be 0, and it returns a single one; correct its key output"),
    ],
)
def test_an_output_that_is_not_there_or_no_logits_is_said(factory, arguments, output, message):
    settings = model_settings(
        "several", name=None, factory=f"my_networks:{factory}", arguments=arguments, output=output
    )
    with pytest.raises(WinnowError, match=rf"^model several: .*{message}"):
        build_model(settings, data().task, seed=0)


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
