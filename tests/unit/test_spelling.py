"""Spellings that exporters or runtimes get wrong, and what cannot be captured."""

import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from winnow.capture.exported import captured
from winnow.capture.fx_graphs import WEIGHTED, calls
from winnow.deploy.export import export_onnx
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.openvino_runtime import load as load_openvino
from winnow.errors import WinnowError
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe

IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Called(nn.Module):
    """A network that is one function of the images, a few parameters and layers."""

    def __init__(self, function, *shapes, **layers):
        super().__init__()
        self.function = function
        torch.manual_seed(0)
        self.parameters_ = nn.ParameterList(torch.randn(shape) for shape in shapes)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x, *self.parameters_)


EINSUMS = {
    "linear": ("ncij,co->noij", (3, 5)),
    "matrix first": ("oc,ncij->nijo", (5, 3)),
    "two sums": ("ncij,ijo->nco", (8, 8, 5)),
    "heads": ("ncij,jhd->nhcid", (8, 2, 3)),
}


@pytest.mark.parametrize("name", EINSUMS)
def test_sums_of_products_with_a_parameter_are_linears(name):
    equation, shape = EINSUMS[name]
    order = (lambda x, w: (w, x)) if name == "matrix first" else (lambda x, w: (x, w))
    model = Called(lambda _, x, w: torch.einsum(equation, *order(x, w)), shape).eval()
    graph_module = captured(model, IMAGES)
    torch.testing.assert_close(graph_module(IMAGES[:3]), model(IMAGES[:3]), rtol=1e-5, atol=1e-5)
    assert len([node for node in calls(graph_module) if node.target in WEIGHTED]) == 1


@pytest.mark.parametrize("equation", ["ncij,ncij->n", "ncii,co->no", "ncij,cij->nc"])
def test_other_sums_of_products_stay_as_they_are(equation):
    _, others = equation.partition("->")[0].split(",")
    shape = [{"n": 8, "c": 3, "o": 5}.get(letter, 8) for letter in others]
    model = Called(lambda _, x, w: torch.einsum(equation, x, w if "n" not in others else x), shape).eval()
    torch.testing.assert_close(captured(model, IMAGES)(IMAGES), model(IMAGES), rtol=1e-5, atol=1e-5)


def test_circular_padding_is_a_concatenation():
    model = Called(lambda _, x: functional.pad(x, (1, 2, 0, 3), mode="circular"))
    assert torch.equal(captured(model, IMAGES)(IMAGES[:3]), model(IMAGES[:3]))


def expanded(m, x, query):
    return m.read(query.expand(x.shape[0], -1, -1)).mean(1)


def repeated(m, x, query):
    return m.read(query[0].repeat(x.shape[0], 1, 1)).mean(1)


def new_dimension(m, x, query):
    return m.read(query[0].expand(x.shape[0], 2, 4)).mean(1)


def filled(m, x, query):
    return m.read(torch.full((x.shape[0], 1, 4), 0.5) + query).mean(1)


def positions(m, x, query):
    return m.read(query[0][torch.arange(2)[None].expand(x.shape[0], -1)]).mean(1)


@pytest.mark.parametrize("constant", [expanded, repeated, new_dimension, filled, positions])
def test_constants_for_each_image_do_not_read_the_batch_size(constant, tmp_path):
    """OpenVINO 2026.4 computed the keys without the zero point of their input: 9 % of the logits' spread."""

    def forward(m, x, query):
        tokens = m.patches(x).flatten(2).transpose(1, 2)
        return m.classifier(torch.cat((constant(m, x, query), m.keys(tokens).mean(1)), 1))

    layers = {"patches": nn.Conv2d(3, 4, 2, 2), "read": nn.Linear(4, 4), "keys": nn.Linear(4, 4)}
    model = Called(forward, (1, 2, 4), **layers, classifier=nn.Linear(8, 5)).eval()
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    torch.testing.assert_close(captured(model, IMAGES)(IMAGES[:3]), model(IMAGES[:3]), rtol=1e-5, atol=1e-5)
    export_onnx(quantized, IMAGES, tmp_path / "model.onnx", {})
    assert not [node for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type == "Shape"]
    images = IMAGES[:5].numpy()
    one, other = (load(tmp_path / "model.onnx", threads=1)(images) for load in (load_onnxruntime, load_openvino))
    assert abs(one - other).mean() < 1e-3 * one.std()


RANDOM = {
    "dropout without its flag": lambda _, x: functional.dropout(x, 0.3),
    "noise": lambda _, x: x + torch.randn_like(x),
    "attention dropout": lambda _, x: functional.scaled_dot_product_attention(x, x, x, dropout_p=0.1),
}


@pytest.mark.parametrize("name", RANDOM)
def test_a_network_that_is_random_in_inference_is_refused(name):
    with pytest.raises(WinnowError, match=r"the network itself: aten\..* is random in inference, .* self.training"):
        captured(Called(RANDOM[name]), IMAGES)


def test_dropout_of_nothing_is_not_random():
    model = Called(lambda _, x: functional.dropout(functional.scaled_dot_product_attention(x, x, x), 0.0))
    torch.testing.assert_close(captured(model, IMAGES)(IMAGES), model(IMAGES))


def test_a_network_that_fixes_the_batch_size_is_refused():
    with pytest.raises(WinnowError, match=r"for any batch size .*x.shape\[0\] is a size that stays free, len\(x\)"):
        captured(Called(lambda _, x: x.view(len(x), -1)), IMAGES)


def test_a_network_that_torch_has_pruned_is_quantized(tmp_path):
    layer = nn.Conv2d(3, 4, 3)
    prune.l1_unstructured(layer, "weight", amount=0.5)
    model = nn.Sequential(layer, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    stored = dict(quantized.named_buffers())
    assert {"0.weight", "4.weight"} == {name for name, value in stored.items() if value.dtype == torch.int8}
    assert torch.count_nonzero(stored["0.weight"]) <= layer.weight.numel() // 2
    export_onnx(quantized, IMAGES, tmp_path / "model.onnx", {})
    expected = model(IMAGES).detach().numpy()
    found = load_onnxruntime(tmp_path / "model.onnx", threads=1)(IMAGES.numpy())
    assert abs(found - expected).mean() < 0.05 * expected.std()


PADS = {
    "channels": lambda m, x: m.b(functional.pad(m.a(x), (0, 0, 0, 0, 2, 2))).mean((2, 3)),
    "tokens": lambda m, x: m.c(functional.pad(m.a(x).flatten(2).transpose(1, 2), (0, 4, 1, 0))).mean(1),
    "tokens read in float": lambda m, x: functional.gelu(functional.pad(m.a(x).flatten(2), (1, 0, 4, 0))).mean(2),
    "features": lambda m, x: m.c(functional.pad(m.a(x).mean((2, 3)), (4, 0))),
    "places": lambda m, x: m.b(functional.pad(m.d(x), (0, 1, 2, 0))).mean((2, 3)),
    "added": lambda m, x: m.c(functional.pad(m.a(x).amax(2).mean(2), (4, 0)) + m.d(x).mean((2, 3))),
}


@pytest.mark.parametrize("name", PADS)
def test_padding_of_values_of_both_signs_is_zero_in_both_runtimes(name, tmp_path):
    """OpenVINO 2026.4 was off by up to ten times the logits' spread, or did not load the file."""
    layers = {
        "a": nn.Conv2d(3, 4, 3, padding=1),
        "b": nn.Conv2d(8, 4, 3),
        "c": nn.Linear(8, 4),
        "d": nn.Conv2d(3, 8, 3),
    }
    model = Called(PADS[name], **layers).eval()
    quantized = quantize_static(model, [IMAGES], Recipe("ptq", "minmax"))
    export_onnx(quantized, IMAGES, tmp_path / "model.onnx", {})
    expected = model(IMAGES).detach().numpy()
    for load in (load_onnxruntime, load_openvino):
        found = load(tmp_path / "model.onnx", threads=1)(IMAGES.numpy())
        assert abs(found - expected).mean() < 0.03 * expected.std()


def test_instance_norms_with_running_statistics_are_folded_like_batch_norms(tmp_path):
    norm = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    layers = {"a": nn.Conv2d(3, 4, 3), "n": norm, "b": nn.Conv2d(4, 4, 3)}
    model = Called(lambda m, x: m.n(m.b(functional.silu(m.n(m.a(x))))).mean((2, 3)), **layers)
    nn.init.normal_(norm.weight)
    model.train()(IMAGES)
    quantized = quantize_static(model.eval(), [IMAGES], Recipe("ptq", "minmax"))
    assert not [node for node in calls(quantized) if "norm" in str(node.target)]
    export_onnx(quantized, IMAGES, tmp_path / "model.onnx", {})
    expected = model(IMAGES).detach().numpy()
    for load in (load_onnxruntime, load_openvino):
        found = load(tmp_path / "model.onnx", threads=1)(IMAGES.numpy())
        assert abs(found - expected).mean() < 0.05 * expected.std()
