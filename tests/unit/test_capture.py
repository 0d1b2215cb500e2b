"""The canonical inference graph: the same numbers as the network, whatever way a layer is spelled."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from winnow.capture.exported import captured, set_training
from winnow.capture.fx_graphs import WEIGHTED, calls

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Called(nn.Module):
    """A network that is one function of the image and of a few parameters."""

    def __init__(self, function, *shapes):
        super().__init__()
        self.function = function
        self.parameters_ = nn.ParameterList(torch.randn(shape) for shape in shapes)

    def forward(self, x):
        return self.function(x, *self.parameters_)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.convolution(x)
        y = self.relu(x)  # changes x as well
        return (x + y).mean((2, 3))


def token(x, weight, token):
    tokens = functional.conv2d(x, weight).flatten(2).transpose(1, 2)
    return torch.cat((token.expand(x.shape[0], -1, -1), tokens, token.expand(x.shape[0], -1, -1)), 1).mean(1)


def part_then_whole(x):
    x = x * 1
    part = x[:, :1]
    x.relu_()  # changes the part as well
    return (part + x).mean((2, 3))


def masked(x):
    mask = torch.zeros(1, 3, 8, 8)
    mask[:, :, 2:] = 1
    return (x * mask).mean((2, 3))


NETWORKS = {
    "same padding": nn.Conv2d(3, 4, 3, padding="same"),
    "same padding, even kernel": nn.Conv2d(3, 4, (4, 2), padding="same", dilation=(1, 2)),
    "valid padding": nn.Conv2d(3, 4, 3, padding="valid", stride=2),
    "same padding in one dimension": nn.Sequential(nn.Flatten(1, 2), nn.Conv1d(24, 4, 4, padding="same", groups=2)),
    "linear on tokens": nn.Sequential(nn.Flatten(2), nn.Linear(64, 5)),
    "product with a parameter": Called(lambda x, w: x.mean((2, 3)) @ w, (3, 5)),
    "product of tokens with a parameter": Called(lambda x, w: x.flatten(2) @ w, (64, 5)),
    "addmm": Called(lambda x, b, w: torch.addmm(b, x.mean((2, 3)), w), (5,), (3, 5)),
    "attention": nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(64, 4, 16, batch_first=True)),
    "in place": InPlace(),
    "class tokens": Called(token, (4, 3, 2, 2), (1, 1, 4)),
    "assignment to a part": Called(masked),
    "in place, with a part read before": Called(part_then_whole),
}
WEIGHTED_LAYERS = {"attention": 4, "assignment to a part": 0, "in place, with a part read before": 0}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_spelling_is_captured_with_the_same_numbers(name):
    model = NETWORKS[name].eval()
    graph_module = captured(model, IMAGES)
    with torch.no_grad():
        torch.testing.assert_close(graph_module(IMAGES), model(IMAGES), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(graph_module(IMAGES[:1]), model(IMAGES[:1]), rtol=1e-5, atol=1e-5)
    weighted = [node for node in calls(graph_module) if node.target in WEIGHTED]
    assert len(weighted) == WEIGHTED_LAYERS.get(name, 1)
    products = (torch.ops.aten.linear.default,)
    assert all(node.args[0].meta["val"].dim() == 2 for node in weighted if node.target in products)
    assert not [node for node in calls(graph_module) if node.target == torch.ops.aten.cat.default]


def test_the_strides_of_training_are_left_behind():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    graph_module = captured(model, IMAGES.contiguous(memory_format=torch.channels_last))
    assert all(value.is_contiguous() for value in graph_module.state_dict().values())
    assert not model[0].weight.is_contiguous()  # the caller's network is as it was


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x) if self.training else x


RESTS = {"drop path": StochasticDepth(0.5, "row"), "noise": Noise(), "random slopes": nn.RReLU()}
FLAGGED = {
    "dropout": nn.Dropout(0.5),
    "channel dropout": nn.Dropout2d(0.5),
    "alpha dropout": nn.AlphaDropout(0.5),
    "feature alpha dropout": nn.FeatureAlphaDropout(0.5),
    "batch norm": nn.BatchNorm2d(3),
    "instance norm": nn.InstanceNorm2d(3, track_running_stats=True),
}


@pytest.mark.parametrize("name", RESTS | FLAGGED)
def test_training_is_a_flag_of_operators_and_never_a_branch(name):
    model = (RESTS | FLAGGED)[name].train()
    graph_module = captured(model, IMAGES)
    expected = model.eval()(IMAGES)
    assert torch.equal(graph_module(IMAGES), expected)
    set_training(graph_module, True)
    assert torch.equal(graph_module(IMAGES), expected) == (name in RESTS)
    set_training(graph_module, False)
    assert torch.equal(graph_module(IMAGES), graph_module(IMAGES))


def test_norms_can_rest_while_dropout_works():
    graph_module = captured(nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5)), IMAGES)
    set_training(graph_module, True, norms=False)
    before = {name: value.clone() for name, value in graph_module.state_dict().items()}
    assert (graph_module(IMAGES) == 0).any()
    assert all(torch.equal(value, before[name]) for name, value in graph_module.state_dict().items())
