"""Which channels can go, and that a network without them computes what it should."""

import copy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from winnow.channel_groups import channel_groups
from winnow.channels import remove_channels
from winnow.errors import WinnowError
from winnow.narrowing import replay
from winnow.prunable import weights_of

IMAGE = torch.zeros(1, 3, 16, 16)
CLASSIFIER = "the classifier, with an output for each class"


class Network(nn.Module):
    """Layers by name and a function that applies them."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.function = forward

    def forward(self, x):
        return self.function(self, x)


def convolution(channels=3, width=8, kernel=3, **options):
    return nn.Conv2d(channels, width, kernel, padding=kernel // 2, **options)


def pooled(x):
    return x.mean((2, 3))


def squeeze_excite(m, x):
    x = functional.silu(m.a(x))
    gate = torch.sigmoid(m.up(functional.silu(m.down(x.mean((2, 3), keepdim=True)))))
    return m.head(pooled(m.b(x * gate)))


def dense(m, x):
    x = m.a(x)
    for norm, layer in ((m.n1, m.b), (m.n2, m.c)):
        x = torch.cat((x, layer(functional.relu(norm(x)))), 1)
    return m.head(pooled(x))


def fire(m, x):
    x = functional.relu(m.a(x))
    return pooled(m.head(torch.cat((functional.relu(m.b(x)), functional.relu(m.c(x))), 1)))


def depthwise(m, x):
    return m.head(pooled(m.c(functional.hardswish(m.b(functional.hardswish(m.a(x)))))))


def flattened(m, x):
    return m.head(functional.max_pool2d(m.p(m.a(x)), 4).flatten(1))


def transformer_mlp(m, x):
    x = m.a(x).flatten(2).transpose(1, 2)
    x = x + m.c(functional.gelu(m.b(m.n(x))))
    return m.head(x.mean(1))


def attention(m, x):
    x = m.a(x).flatten(2).transpose(1, 2)
    q, k, v = m.b(x).reshape(len(x), 256, 3, 2, 4).permute(2, 0, 3, 1, 4)
    x = x + (torch.softmax(q @ k.transpose(-2, -1), -1) @ v).transpose(1, 2).flatten(2)
    return m.head(m.d(functional.relu(m.c(x))).mean(1))


def padded_shortcut(m, x):
    x = functional.relu(m.a(x))
    y = m.c(functional.relu(m.b(x)))
    return m.head(pooled(y + functional.pad(x, (0, 0, 0, 0, 4, 4))))


def normalized(m, x):
    return m.head(pooled(m.b(functional.relu(m.n(m.a(x))))))


def grouped(m, x):
    return m.head(pooled(m.c(functional.relu(m.b(functional.relu(m.a(x)))))))


def softmaxed(m, x):
    return m.head(pooled(m.b(m.a(x).softmax(1))))


def transposed(m, x):
    return m.head(pooled(m.c(m.b(m.a(x)))))


def tied(m, x):
    return m.head(pooled(m.c(functional.relu(m.b(functional.relu(m.a(x)))))))


def tied_network():
    model = Network(tied, a=convolution(), b=convolution(8), c=convolution(8), head=nn.Linear(8, 4))
    model.c.weight = model.b.weight
    return model


# network, roots of the groups that can go, reasons of the layers that cannot (a part of each)
NETWORKS = {
    "squeeze and excite": (
        Network(
            squeeze_excite,
            a=convolution(),
            down=convolution(8, 4, 1),
            up=convolution(4, 8, 1),
            b=convolution(8),
            head=nn.Linear(8, 4),
        ),
        {"a", "down", "b"},
        {},
    ),
    "dense block": (
        Network(
            dense,
            a=convolution(),
            n1=nn.BatchNorm2d(8),
            b=convolution(8, 4),
            n2=nn.BatchNorm2d(12),
            c=convolution(12, 4),
            head=nn.Linear(16, 4),
        ),
        {"a", "b", "c"},
        {},
    ),
    "concatenation, a convolution as classifier": (
        Network(fire, a=convolution(), b=convolution(8, 4), c=convolution(8, 6), head=convolution(10, 4, 1)),
        {"a", "b", "c"},
        {},
    ),
    "depthwise": (
        Network(
            depthwise, a=convolution(), b=convolution(8, 8, groups=8), c=convolution(8, 8, 1), head=nn.Linear(8, 4)
        ),
        {"a", "c"},
        {},
    ),
    "flattened, a slope for each channel": (
        Network(flattened, a=convolution(), p=nn.PReLU(8), head=nn.Linear(128, 4)),
        {"a"},
        {},
    ),
    "hidden width between layer norms": (
        Network(
            transformer_mlp,
            a=convolution(),
            n=nn.LayerNorm(8),
            b=nn.Linear(8, 16),
            c=nn.Linear(16, 8),
            head=nn.Linear(8, 4),
        ),
        {"b"},
        {"a": "n normalizes over these channels", "c": "n normalizes over these channels"},
    ),
    "heads": (
        Network(
            attention, a=convolution(), b=nn.Linear(8, 24), c=nn.Linear(8, 12), d=nn.Linear(12, 8), head=nn.Linear(8, 4)
        ),
        {"c", "d"},
        {"b": "they depend on each other", "a": "a reshape divides them"},
    ),
    "padded shortcut": (
        Network(padded_shortcut, a=convolution(), b=convolution(8), c=convolution(8, 16), head=nn.Linear(16, 4)),
        {"b"},
        {"a": "a shortcut pads them", "c": "a shortcut pads them"},
    ),
    "group norm": (
        Network(normalized, a=convolution(), n=nn.GroupNorm(2, 8), b=convolution(8), head=nn.Linear(8, 4)),
        {"b"},
        {"a": "n normalizes over these channels"},
    ),
    "grouped": (
        Network(grouped, a=convolution(), b=convolution(8, groups=2), c=convolution(8), head=nn.Linear(8, 4)),
        {"c"},
        {
            "a": "of a grouped convolution",
            "b": "of a grouped convolution",
        },
    ),
    "softmax over channels": (
        Network(softmaxed, a=convolution(), b=convolution(8), head=nn.Linear(8, 4)),
        {"b"},
        {"a": "what is computed beside them depends on them"},
    ),
    "transposed": (
        Network(transposed, a=convolution(), b=nn.ConvTranspose2d(8, 8, 2, 2), c=convolution(8), head=nn.Linear(8, 4)),
        {"a", "c"},
        {"b": "a transposed convolution"},
    ),
    "one parameter in two layers": (
        tied_network(),
        set(),
        {"a": "b shares its parameters", "b": "b shares its parameters", "c": "c shares its parameters"},
    ),
}


def layers_of(model, example):
    return [name for name, weight in weights_of(model, example, "net").items() if weight.multiplied]


def settled(name):
    """A network whose batch norms differ from channel to channel, and its layers."""
    model = NETWORKS[name][0].eval()
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(value, 0.5, 0.3)
    return model, layers_of(model, IMAGE)


@pytest.mark.parametrize("name", NETWORKS)
def test_groups_and_what_is_left_alone(name):
    model, layers = settled(name)
    _, roots, reasons = NETWORKS[name]
    if not roots:
        with pytest.raises(WinnowError, match=r"net: no layer can lose channels \(.*b shares its parameters"):
            channel_groups(model, IMAGE, layers, {layers[-1]: CLASSIFIER}, "net")
        return
    found = channel_groups(model, IMAGE, layers, {layers[-1]: CLASSIFIER}, "net")
    members = {layer for group in found.groups for layer, _, _ in group.members}
    assert roots <= members
    assert found.left_alone.pop(layers[-1]) == CLASSIFIER
    assert set(found.left_alone) == set(reasons)
    for layer, reason in reasons.items():
        assert reason in found.left_alone[layer]
    assert not members & set(reasons)


@pytest.mark.parametrize("name", [name for name, (_, roots, _) in NETWORKS.items() if roots])
def test_a_narrow_network_computes_what_the_wide_one_does_without_its_channels(name):
    """Channels whose values nobody reads may go; which they are is known here, so nothing but they may change."""
    model, layers = settled(name)
    wide = {key: value.clone() for key, value in model.state_dict().items()}
    groups = channel_groups(model, IMAGE, layers, {layers[-1]: CLASSIFIER}, "net").groups
    assert all(torch.equal(value, wide[key]) for key, value in model.state_dict().items())
    keep = {group.root: torch.arange(group.width) % 3 != 1 for group in groups}
    images = torch.randn(2, *IMAGE.shape[1:], generator=torch.Generator().manual_seed(1))
    narrow, again = copy.deepcopy(model), copy.deepcopy(model)
    removals = remove_channels(narrow, IMAGE, keep, "net")
    replay(again, [removals], IMAGE)
    with torch.no_grad():
        assert torch.equal(narrow(images), again(images))
    for group in groups:
        assert narrow.get_submodule(group.root).weight.shape[0] < model.get_submodule(group.root).weight.shape[0]


def test_a_cut_that_changes_what_is_left_is_an_error():
    """Without the trial, the narrow network would be as wrong without a word."""
    model, _ = settled("softmax over channels")
    with pytest.raises(WinnowError, match=r"net: without the removed channels the network is not the same: what is"):
        remove_channels(model, IMAGE, {"a": torch.arange(8) > 3}, "net")


def test_reshapes_that_would_fill_the_memory_are_left_alone():
    """Window attention: torch-pruning multiplies channel numbers from reshape to reshape."""
    model = torchvision.models.SwinTransformer(
        patch_size=[4, 4], embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4], num_classes=4
    ).eval()
    example = torch.zeros(1, 3, 32, 32)
    layers = layers_of(model, example)
    found = channel_groups(model, example, layers, {layers[-1]: CLASSIFIER}, "net")
    assert {group.root for group in found.groups} == {
        f"features.{stage}.{block}.mlp.0" for stage in (1, 3) for block in (0, 1)
    }
    assert any("a reshape mixes them" in reason for reason in found.left_alone.values())
