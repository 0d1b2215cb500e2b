"""Which channels can go, and that a network without them computes what it should."""

import copy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from samples import Network
from winnow.errors import WinnowError
from winnow.models.narrowing import replay
from winnow.prune.channel_groups import channel_groups
from winnow.prune.channels import remove_channels
from winnow.prune.layers import weights_of
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe

IMAGE = torch.zeros(1, 3, 16, 16)
CLASSIFIER = "the classifier, with an output for each class"


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


def softmaxed(m, x):
    return m.head(pooled(m.b(m.a(x).softmax(1))))


def transposed(m, x):
    return m.head(pooled(m.c(m.b(m.a(x)))))


def tied_network():
    model = Network(three, **three_layers())
    model.c.weight = model.b.weight
    return model


class Shuffled(nn.Module):
    """ShuffleNetV2's unit: half of the channels pass, then all are shuffled."""

    def __init__(self, width=16, scale=1.0):
        super().__init__()
        half = width // 2
        self.a, self.scale, self.head = convolution(width=width), scale, nn.Linear(width, 4)
        self.branch = nn.Sequential(
            convolution(half, half, 1), nn.ReLU(), convolution(half, half, groups=half), convolution(half, half, 1)
        )

    def forward(self, x):
        one, other = self.a(x).chunk(2, 1)
        x = torch.cat((one, self.branch(other) * self.scale), 1)
        n, c, h, w = x.shape
        return self.head(pooled(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)))


class Windows(nn.Module):
    """Linears on windows, which become channels, and channels again."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = convolution(), convolution(8), nn.Linear(8, 4)
        self.windows = nn.ModuleList(nn.Linear(128, 128) for _ in range(3))

    def forward(self, x):
        x = self.a(x)
        for layer in self.windows:
            n, c, h, w = x.shape
            y = x.view(n, c, 4, h // 4, 4, w // 4).permute(0, 3, 5, 1, 2, 4).reshape(-1, c * 16)
            x = x + layer(y).view(n, h // 4, w // 4, c, 4, 4).permute(0, 3, 4, 1, 5, 2).reshape(n, c, h, w)
        return self.head(pooled(self.b(x)))


class Auxiliary(nn.Module):
    """A second head while it trains, on channels that the first one does not read directly."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = convolution(), convolution(8), convolution(8)
        self.head, self.aux = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x):
        x = functional.relu(self.b(functional.relu(self.a(x))))
        logits = self.head(pooled(self.c(x)))
        return (logits, self.aux(pooled(x))) if self.training else logits


class Standardized(nn.Conv2d):
    """Weights of mean 0 over all inputs of a filter."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight, self.bias, padding=1)


def two_heads(m, x):
    x = pooled(m.b(functional.relu(m.a(x))))
    return torch.cat((m.one(x), m.head(x)), 1)


def doubled(m, x):
    x = m.a(x)
    return m.head(pooled(m.b(torch.cat((functional.relu(x), functional.relu(-x)), 1))))


def pixels(m, x):
    return m.head(pooled(m.b(functional.pixel_shuffle(m.a(x), 2))))


def split(m, x):
    one, other = m.a(x).split([4, 4], 1)
    return m.head(pooled(m.b(torch.sigmoid(one) * other)))


def recurrent(m, x):
    x = m.a(x).flatten(2).transpose(1, 2)
    return m.head(m.b(m.lstm(x)[0][:, -1]))


def in_float(m, x):
    return m.head(pooled(m.b(functional.relu(m.a(x.float()).float()))).float())


def three_layers(kind=convolution, **options):
    return {"a": convolution(), "b": kind(8, **options), "c": convolution(8), "head": nn.Linear(8, 4)}


def three(m, x):
    return m.head(pooled(m.c(functional.relu(m.b(functional.relu(m.a(x)))))))


def with_norm():
    model = Network(three, **three_layers())
    nn.utils.parametrizations.weight_norm(model.b)
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
        {"a": "padding adds channels to them", "c": "padding adds channels to them"},
    ),
    "group norm": (
        Network(normalized, a=convolution(), n=nn.GroupNorm(2, 8), b=convolution(8), head=nn.Linear(8, 4)),
        {"b"},
        {"a": "n normalizes over these channels"},
    ),
    "grouped": (
        Network(three, **three_layers(groups=2)),
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
    "channel shuffle": (
        Shuffled(),
        {"branch.0"},
        {"a": "a reshape divides them", "branch.3": "a reshape divides them"},
    ),
    "windows": (
        Windows(),
        {"b"},
        dict.fromkeys(("a", "windows.0", "windows.1", "windows.2"), "a reshape mixes them"),
    ),
    "auxiliary head": (Auxiliary(), {"a", "b", "c"}, {"aux": "only takes part in training"}),
    "weight standardization": (
        Network(three, **three_layers(lambda width: Standardized(8, width, 3))),
        {"b", "c"},
        {"a": "what is computed beside them depends on them"},
    ),
    "weight norm": (
        with_norm(),
        {"c"},
        dict.fromkeys(("a", "b"), "the weight of b is a function of its parameters"),
    ),
    "instance norm": (
        Network(
            normalized, a=convolution(), n=nn.InstanceNorm2d(8, affine=True), b=convolution(8), head=nn.Linear(8, 4)
        ),
        {"a", "b"},
        {},
    ),
    "two heads side by side": (
        Network(two_heads, a=convolution(), b=convolution(8), one=nn.Linear(8, 2), head=nn.Linear(8, 2)),
        {"a", "b"},
        {"one": "of head, the classifier"},
    ),
    "concatenated ReLU": (
        Network(doubled, a=convolution(), b=convolution(16), head=nn.Linear(8, 4)),
        {"a", "b"},
        {},
    ),
    "pixel shuffle": (
        Network(pixels, a=convolution(), b=convolution(2), head=nn.Linear(8, 4)),
        {"b"},
        {"a": "a pixel shuffle makes places of them"},
    ),
    "gated by the other half": (
        Network(split, a=convolution(), b=convolution(4), head=nn.Linear(8, 4)),
        {"b"},
        {"a": ""},
    ),
    "recurrent": (
        Network(
            recurrent, a=convolution(), lstm=nn.LSTM(8, 8, batch_first=True), b=nn.Linear(8, 12), head=nn.Linear(12, 4)
        ),
        {"b"},
        {"a": "of a recurrent layer", "lstm": "a recurrent layer"},
    ),
    "float32 only": (Network(in_float, a=convolution(), b=convolution(8), head=nn.Linear(8, 4)), {"a", "b"}, {}),
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


def test_of_window_attention_the_hidden_widths_can_go():
    model = torchvision.models.SwinTransformer(
        patch_size=[4, 4], embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4], num_classes=4
    ).eval()
    example = torch.zeros(1, 3, 32, 32)
    layers = layers_of(model, example)
    found = channel_groups(model, example, layers, {layers[-1]: CLASSIFIER}, "net")
    assert {group.root for group in found.groups} == {
        f"features.{stage}.{block}.mlp.0" for stage in (1, 3) for block in (0, 1)
    }
    assert found.left_alone["features.1.0.attn.qkv"] == "its weight is read by another layer, as in attention"


def test_a_wrong_cut_shows_however_little_the_channels_matter():
    """Layer scales begin at 1e-6, and trained channels may be dead: on such weights any cut looks right."""
    model = Shuffled(scale=1e-6).eval()
    with torch.no_grad():
        model.a.weight.mul_(1e-6), model.a.bias.mul_(1e-6)
    with pytest.raises(WinnowError, match=r"net: without the removed channels the network is not the same: "):
        remove_channels(model, IMAGE, {"a": torch.arange(16) % 4 != 0}, "net")


def test_an_auxiliary_head_loses_the_inputs_that_are_gone():
    model = Auxiliary().eval()
    keep = {"b": torch.arange(8) > 2}
    removals = remove_channels(model, IMAGE, keep, "net")
    again = Auxiliary()
    replay(again, [removals], IMAGE)
    assert again.training
    assert not model.training
    assert [output.shape for output in again(torch.zeros(2, *IMAGE.shape[1:]))] == [(2, 4), (2, 4)]
    assert model.aux.in_features == again.aux.in_features == 5


def test_channels_that_depend_on_each_other_are_no_units():
    """What is added to both halves would take two channels for one: the count of what stays would be wrong."""
    model = Network(
        lambda m, x: m.head(pooled(m.c(sum(m.a(x).chunk(2, 1))))),
        a=convolution(),
        c=convolution(4),
        head=nn.Linear(8, 4),
    ).eval()
    found = channel_groups(model, IMAGE, ["a", "c"], {"head": CLASSIFIER}, "net")
    assert [group.root for group in found.groups] == ["c"]
    assert found.left_alone["a"].startswith("they depend on each other")


def test_frozen_layers_are_traced_and_stay_frozen():
    model = Network(three, **three_layers()).eval()
    for layer in (model.a, model.b):
        layer.requires_grad_(False)
    groups = channel_groups(model, IMAGE, ["a", "b", "c"], {"head": CLASSIFIER}, "net").groups
    assert [group.root for group in groups] == ["c", "b", "a"]
    remove_channels(model, IMAGE, {group.root: torch.arange(8) > 2 for group in groups}, "net")
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        "c.weight", "c.bias", "head.weight", "head.bias",
    }  # fmt: skip
    assert model.a.weight.shape[0] == 5


@pytest.mark.parametrize("name", ["squeeze and excite", "concatenation, a convolution as classifier", "dense block"])
def test_a_narrow_network_is_quantized_like_any_other(name):
    model, layers = settled(name)
    found = channel_groups(model, IMAGE, layers, {layers[-1]: CLASSIFIER}, "net")
    remove_channels(model, IMAGE, {group.root: torch.arange(group.width) % 2 == 0 for group in found.groups}, "net")
    images = torch.randn(64, *IMAGE.shape[1:], generator=torch.Generator().manual_seed(1))
    quantized = quantize_static(model, [images], Recipe("ptq", "minmax"))
    with torch.no_grad():
        expected, found = model(images), quantized(images)
    assert (expected - found).abs().max() < 0.1 * expected.std()
    assert not any(value.is_floating_point() and value.dim() > 1 for value in quantized.state_dict().values())
