"""Where int8 goes, value by value, and what the integers are."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from samples import Network
from winnow.capture.exported import captured
from winnow.capture.fx_graphs import calls
from winnow.errors import WinnowError
from winnow.quantize.int8 import plan_of
from winnow.quantize.ranges import weight_scales
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe

IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def convolution(channels=3, width=4):
    return nn.Conv2d(channels, width, 3, padding=1)


def rounded(model):
    """The modules or operators whose results are rounded, in order, and the number of integer layers."""
    graph_module = captured(model.eval(), IMAGES)
    plan = plan_of(graph_module)
    nodes = {node.name: node for node in graph_module.graph.nodes}
    return [nodes[point.value].name for point in plan.points], len(plan.layers)


def settled(model, steps=20):
    """Batch norms that have seen the images, with gains and shifts that differ."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    with torch.no_grad():
        for _ in range(steps):
            model.train()(IMAGES)
    return model.eval()


def deviation(model):
    """Signal to noise in dB of the int8 module against the network."""
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    with torch.no_grad():
        expected, found = model(IMAGES), quantized(IMAGES)
    return 10 * float(torch.log10(expected.square().sum() / (found - expected).square().sum()))


def test_a_chain_is_rounded_at_its_end_and_logits_stay_in_float():
    model = nn.Sequential(
        convolution(), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert rounded(model) == (["input_1", "relu", "mean", "flatten"], 2)


def test_a_value_that_others_read_is_not_swallowed_by_a_chain():
    def forward(m, x):
        x = m.a(x)
        return (x + m.b(functional.relu(x))).mean((2, 3))

    names, layers = rounded(Network(forward, a=convolution(), b=convolution(4)))
    assert layers == 2
    assert names == ["x", "conv2d", "relu", "conv2d_1"]  # the addition feeds no integers, so it is not rounded


def test_a_norm_behind_a_shared_value_keeps_its_own_operator():
    def forward(m, x):
        x = m.a(x)
        return m.b(functional.relu(m.norm(x))).mean((2, 3)) + x.mean((2, 3))

    model = settled(Network(forward, a=convolution(), norm=nn.BatchNorm2d(4), b=convolution(4)))
    assert rounded(model) == (["x", "conv2d", "relu", "conv2d_1"], 2)
    assert deviation(model) > 30


def test_a_residual_stream_between_float_operators_stays_in_float():
    def forward(m, x):
        x = m.a(x).flatten(2).transpose(1, 2) + m.position
        x = x + m.mlp(m.norm(x))
        return x.mean(1)

    mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
    model = Network(forward, a=convolution(), norm=nn.LayerNorm(4), mlp=mlp)
    model.position = nn.Parameter(torch.randn(64, 4))
    names, layers = rounded(model)
    assert layers == 3
    assert not [name for name in names if name.startswith(("add", "layer_norm", "gelu", "linear"))]
    assert len(names) == 4  # images, convolution, and the rows that each linear reads
    assert deviation(model) > 30


def test_residual_adds_between_convolutions_are_rounded_with_their_relu():
    def forward(m, x):
        x = functional.relu(m.a(x))
        return m.c(functional.relu(x + m.b(x))).mean((2, 3))

    names, _ = rounded(Network(forward, a=convolution(), b=convolution(4), c=convolution(4)))
    assert names == ["x", "relu", "conv2d_1", "relu_1", "conv2d_2"]


def test_integers_as_values_are_left_alone():
    def forward(m, x):
        x = m.a(x)
        bias = m.table(m.places[: x.shape[2]] + m.places[:1])
        return (x + bias.mean()).mean((2, 3))

    model = Network(forward, a=convolution(), table=nn.Embedding(20, 3))
    model.register_buffer("places", torch.arange(8))
    assert rounded(model) == (["x", "conv2d"], 1)
    assert deviation(model) > 30


def looped(m, x):
    x = m.stem(x)
    for _ in range(3):
        x = functional.relu(m.norm(m.shared(x)))
    return m.head(x.mean((2, 3)))


def recurrent(m, x):
    x = m.stem(x)
    for norm in m.norms:
        x = functional.relu(norm(m.shared(x)))
    return m.head(x.mean((2, 3)))


def test_a_shared_block_is_folded_once_and_stored_once():
    layers = {"stem": convolution(), "shared": convolution(4), "norm": nn.BatchNorm2d(4), "head": nn.Linear(4, 3)}
    model = settled(Network(looped, **layers))
    assert deviation(model) > 30
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    stored = [name for name, value in quantized.named_buffers() if value.dtype == torch.int8]
    assert sorted(stored) == ["head.weight", "shared.weight", "stem.weight"]


def test_a_shared_convolution_is_folded_anew_for_every_norm():
    norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
    model = Network(recurrent, stem=convolution(), shared=convolution(4), norms=norms, head=nn.Linear(4, 3))
    model = settled(model)
    assert deviation(model) > 30
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    stored = dict(quantized.named_buffers())
    # a norm scales each channel, and with it the scale: the integers are the same
    assert {"shared.weight_scale", "shared.weight_scale_use2", "shared.weight_scale_use3"} <= set(stored)
    assert "shared.weight_use2" not in stored
    assert {"shared.bias", "shared.bias_use2", "shared.bias_use3"} <= set(stored)


def test_a_shared_convolution_is_stored_again_where_a_norm_turns_a_sign():
    norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2))
    model = Network(recurrent, stem=convolution(), shared=convolution(4), norms=norms, head=nn.Linear(4, 3))
    model = settled(model)
    with torch.no_grad():
        norms[1].weight.neg_()
    assert deviation(model) > 30
    stored = dict(quantize_static(model, [IMAGES], Recipe("ptq", "minmax")).named_buffers())
    assert torch.equal(stored["shared.weight_use2"], -stored["shared.weight"])


def test_biases_of_filters_that_are_nearly_zero_survive():
    """With the scale of the weights at float epsilon, int32 would clip 0.295, -1.855 to 0.143, -0.017."""
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1e-9, -1e-9, 1e-10], [0, 0, 0]]))
        layer.bias.copy_(torch.tensor([0.295, -1.855]))
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), layer).eval()
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    torch.testing.assert_close(quantized(IMAGES), torch.tensor([[0.295, -1.855]]).expand(8, 2), atol=1e-6, rtol=0)


def test_scales_of_weights_are_those_of_the_largest_magnitude():
    weight = torch.tensor([[1.27, -0.1], [-2.54, 0.0]])
    torch.testing.assert_close(weight_scales(weight), torch.tensor([0.01, 0.02]))
    torch.testing.assert_close(weight_scales(weight, torch.zeros(2), 1.0), torch.tensor([0.01, 0.02]))


class Standardized(nn.Conv2d):
    """Weight standardization (Qiao et al. 2019): the weight is a function of the parameter."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5), self.bias)


@pytest.mark.parametrize("layer", [Standardized(3, 4, 3), nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))])
def test_weights_computed_from_parameters_are_integers_in_the_file(layer):
    model = nn.Sequential(layer, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    assert deviation(model) > 30
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    convolution = next(node for node in calls(quantized) if node.target == torch.ops.aten.conv2d.default)
    codes = convolution.args[1].args[0]
    assert codes.op == "get_attr"
    assert dict(quantized.named_buffers())[codes.target].dtype == torch.int8


def test_dropout_behind_a_float_operator_keeps_the_rounding_of_its_reader():
    def forward(m, x):
        return m.b(m.drop(functional.gelu(m.a(x)))).mean((2, 3))

    model = Network(forward, a=convolution(), b=convolution(4), drop=nn.Dropout(0.5)).eval()
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    layers = [node for node in calls(quantized) if node.target == torch.ops.aten.conv2d.default]
    assert ["dequantize_per_tensor" in str(layer.args[0].target) for layer in layers] == [True, True]


def test_a_weight_that_a_float_operator_reads_too_stays_there_in_float():
    def forward(m, x):
        x = functional.gelu(m.a(x.flatten(1))) * m.a.weight_scale
        return m.b(x + functional.embedding(m.places, m.a.weight[:, :4]).sum(0))

    model = Network(forward, a=nn.Linear(192, 4), b=nn.Linear(4, 3))
    model.a.weight_scale = nn.Parameter(torch.tensor(2.0))  # the name that scales of weights get
    model.register_buffer("places", torch.arange(3))
    assert deviation(model.eval()) > 30


@pytest.mark.parametrize("between", [nn.Dropout(0.1), nn.Dropout2d(0.1)])
def test_a_dropout_in_front_of_a_pad_is_the_value_behind_it(between):
    """The pad is one of integers, and must find them."""
    layers = (convolution(), nn.ReLU(), convolution(4), between, nn.ZeroPad2d(1), convolution(4))
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    assert deviation(model) > 30


def test_writing_into_a_part_of_a_rounded_value_is_refused():
    def forward(m, x):
        x = m.a(x)
        x[:, :2].mul_(2)
        return m.b(x).mean((2, 3))

    with pytest.raises(WinnowError, match=r"writes into part of a value that is rounded to int8"):
        rounded(Network(forward, a=convolution(), b=convolution(4)))
