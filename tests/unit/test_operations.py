"""What there is to multiply, counted by hand, and what of it runs on integers, with the reason for the rest."""

import re

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional

from onnx_files import Attention, Hourglass, exported, floats, model_of
from samples import colored_squares, model_settings
from winnow.deploy.coverage import measure_coverage
from winnow.deploy.export import example_images, export_onnx
from winnow.deploy.graphs import Graph
from winnow.deploy.operations import ACTIVATIONS, COMPUTED, count_operations, count_weights
from winnow.errors import WinnowError
from winnow.measure.layer_times import time_layers
from winnow.models.build import build_model
from winnow.quantize.dynamic import quantize_dynamic
from winnow.quantize.images import calibration_batches
from winnow.quantize.static import quantize_static
from winnow.study.identity import Identity
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import SCORED

SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def data():
    return colored_squares(60, 10)


class Recurrent(nn.Module):
    """Reads an image row by row."""

    def __init__(self):
        super().__init__()
        self.rows = nn.LSTM(3 * 32, 20, batch_first=True, bidirectional=True)
        self.head = nn.Linear(40, 10)

    def forward(self, x):
        return self.head(self.rows(x.transpose(1, 2).flatten(2))[0].mean(1))


class Products(nn.Module):
    """A product of two activations, a product with broadcast, and weights in an einsum."""

    def __init__(self):
        super().__init__()
        self.start = nn.Conv2d(3, 8, 3, 4, 1)
        self.mix = nn.Parameter(torch.randn(8, 12) * 0.3)
        self.head = nn.Linear(12, 10)

    def forward(self, x):
        x = self.start(x).flatten(2)
        gram = torch.matmul(x, x.transpose(1, 2)) / 64
        return self.head(torch.einsum("bct,cd->btd", gram @ x, self.mix).mean(1))


class Standardized(nn.Module):
    """Weights of a convolution that are a function of a parameter, and for each image a function of the image."""

    def __init__(self):
        super().__init__()
        self.start = nn.Conv2d(3, 8, 3, 2, 1)
        self.weight = nn.Parameter(torch.randn(24, 8, 3, 3) * 0.1)
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        x = functional.relu(self.start(x))
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self.head(functional.conv2d(x, weight).mean((2, 3)))


START = 16 * 16 * 8 * 27
COUNTS = {
    Hourglass: {"down": START, "up": 16 * 16 * 8 * 8 * 16, "again": 16 * 16 * 8 * 72, "head": 80},
    Attention: {
        "patches": 16 * 16 * 192,
        "attention.in_proj_weight": 3 * 16 * 16 * 16,
        ACTIVATIONS: 2 * (2 * 16 * 16 * 8),
        "attention.out_proj": 16 * 16 * 16,
        "wide": 16 * 16 * 32,
        "head": 320,
    },
    Recurrent: {"LSTM": 32 * 2 * (80 * 96 + 80 * 20), "head": 400},
    Products: {"start": 8 * 8 * 8 * 27, ACTIVATIONS: 2 * 8 * 8 * 64, "mix": 64 * 8 * 12, "head": 120},
    Standardized: {"start": START, "Conv": 14 * 14 * 24 * 72, "head": 240},
}


@pytest.mark.parametrize("network", COUNTS, ids=lambda network: network.__name__)
def test_multiplications_are_those_counted_by_hand(network, data, tmp_path):
    path = exported(network, data, tmp_path / "model.onnx")
    found: dict[str, int] = {}
    for operation in count_operations(path, SHAPE):
        name = operation.unweighted or operation.layer
        if operation.operator == "LSTM" or name not in COUNTS[network]:
            name = operation.operator  # the exporter writes constants of its own
        found[name] = found.get(name, 0) + operation.macs
    assert found == COUNTS[network]


def test_zeros_are_no_multiplications(data, tmp_path):
    model = build_model(model_settings("lenet5"), data.task, seed=0).eval()
    with torch.no_grad():
        model[3].weight[:, :, :, 1:] = 0
    export_onnx(model, example_images(data), tmp_path / "model.onnx", {})
    found = {o.layer: (o.macs, o.nonzero_macs) for o in count_operations(tmp_path / "model.onnx", SHAPE)}
    assert found["0"] == (28 * 28 * 1500, 28 * 28 * 1500)
    assert found["3"] == (100 * 25000, 100 * 5000)


@pytest.mark.parametrize("kind", ["dynamic", "ptq"])
def test_a_transposed_convolution_in_float_counts(kind, data, tmp_path):
    path = exported(Hourglass, data, tmp_path / "fp32.onnx")
    if kind == "ptq":
        path = exported(Hourglass, data, tmp_path / "ptq.onnx", kind)
    else:
        quantize_dynamic(path, tmp_path / "dynamic.onnx", Recipe("dynamic"))
        path = tmp_path / "dynamic.onnx"
    coverage = measure_coverage(path, SHAPE, "onnxruntime")
    counts = COUNTS[Hourglass]
    assert coverage.macs == pytest.approx(1 - counts["up"] / sum(counts.values()))
    assert 0.43 < coverage.macs < 0.44
    (left,) = coverage.left_in_float(Graph(onnx.load(path).graph))
    assert (left.layer, left.operator) == ("up", "ConvTranspose")
    assert left.macs == pytest.approx(1 - coverage.macs)
    assert left.reason == "ONNX Runtime has no integer kernel for ConvTranspose"


def test_products_of_activations_count_and_are_named(data, tmp_path):
    exported(Attention, data, tmp_path / "fp32.onnx")
    quantize_dynamic(tmp_path / "fp32.onnx", tmp_path / "dynamic.onnx", Recipe("dynamic"))
    coverage = measure_coverage(tmp_path / "dynamic.onnx", SHAPE, "onnxruntime")
    counts = COUNTS[Attention]
    assert coverage.macs == pytest.approx(1 - counts[ACTIVATIONS] / sum(counts.values()))
    left = coverage.left_in_float(Graph(onnx.load(tmp_path / "dynamic.onnx").graph))
    assert [(entry.operator, entry.reason) for entry in left] == [("MatMul", ACTIVATIONS)] * 2
    weights = count_weights(tmp_path / "dynamic.onnx")
    integer = 16 * 192 + 3 * 256 + 256 + 512 + 320
    biases = 16 + 48 + 32 + 10  # that of out_proj is zero, and dropped by the exporter
    assert (weights.integer, weights.total) == (integer, integer + biases)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_integer_weights_that_are_multiplied_in_float_do_not_count(runtime, tmp_path):
    """OpenVINO calls such a product i8, after its weights."""
    constants = {"w": np.arange(-96, 96, dtype=np.int8).reshape(3, 64), "s": np.float32(0.1), "z": np.int8(0)}
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"], name="flatten"),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["weights"], name="weights"),
        helper.make_node("Gemm", ["flat", "weights"], ["logits"], name="gemm", transB=1),
    ]
    onnx.save(model_of(nodes, {name: np.array(value) for name, value in constants.items()}), tmp_path / "m.onnx")
    coverage = measure_coverage(tmp_path / "m.onnx", (4, 4, 4), runtime)
    assert (coverage.macs, coverage.layers) == (0, 0)
    (left,) = coverage.left_in_float(Graph(onnx.load(tmp_path / "m.onnx").graph))
    assert (left.layer, left.macs, left.reason) == ("w", 1, "its input stays in float")


@pytest.mark.parametrize("runtime", SCORED)
def test_every_layer_takes_time_in_float_and_on_integers(runtime, data, tmp_path):
    """The kernels of a runtime, which fuses and renames what a file has, are found again as layers."""
    model = build_model(model_settings("resnet20"), data.task, seed=0).eval()
    int8 = quantize_static(model, calibration_batches(data, 16), Recipe("ptq"))
    layers = {name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
    for precision, network in {"fp32": model, "ptq": int8}.items():
        path = tmp_path / f"{precision}.onnx"
        export_onnx(network, example_images(data), path, {})
        identity = Identity("d", "m", 0, "dense", precision, precision)
        found = time_layers(path, data.task.shape, runtime, 4, 1, seconds=0.01, identity=identity)
        assert set(found.layers) == layers
        assert min(found.layers.values()) > 0
        assert 0 < found.rest_ms < found.total_ms
    path.write_bytes(b"no network")
    with pytest.raises(WinnowError, match=re.escape(str(path))):
        time_layers(path, data.task.shape, runtime, 4, 1, seconds=0.01, identity=identity)


def test_weights_that_depend_on_the_image_are_called_computed(tmp_path):
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], name="mean"),
        helper.make_node("Expand", ["mean", "shape"], ["kernel"], name="expand"),
        helper.make_node("Conv", ["images", "kernel"], ["maps"], name="node_hyper"),
        helper.make_node("Flatten", ["maps"], ["logits"], name="flatten"),
    ]
    model = model_of(nodes, {"axes": np.array([2, 3]), "shape": np.array([5, 4, 3, 3])})
    onnx.save(model, tmp_path / "model.onnx")
    (operation,) = count_operations(tmp_path / "model.onnx", (4, 4, 4))
    assert (operation.layer, operation.unweighted) == ("hyper", COMPUTED)
    assert operation.macs == 2 * 2 * 5 * 4 * 9


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("bchw,dc->bdhw", [(7, 4)], 4 * 4 * 4 * 7),
        ("bchw,cd,de->behw", [(4, 5), (5, 6)], 16 * 4 * 5 + 16 * 5 * 6),
        ("...w,wv->...v", [(4, 9)], 16 * 4 * 9),
        ("bchw,cd", [(4, 5)], 16 * 4 * 5),
        ("bchw->bhwc", [], 0),
    ],
)
def test_einsums_contract_from_the_left(equation, shapes, macs, tmp_path):
    names = [f"w{place}" for place in range(len(shapes))]
    nodes = [helper.make_node("Einsum", ["images", *names], ["product"], name="e", equation=equation)]
    nodes.append(helper.make_node("Flatten", ["product"], ["logits"], name="f"))
    onnx.save(model_of(nodes, dict(zip(names, (floats(*shape) for shape in shapes), strict=True))), tmp_path / "m.onnx")
    (operation,) = count_operations(tmp_path / "m.onnx", (4, 4, 4))
    assert operation.macs == macs


def test_products_in_the_body_of_a_branch_are_refused(tmp_path):
    body = lambda name: helper.make_graph(
        [helper.make_node("MatMul", ["images", "w"], [name], name=name)],
        name,
        [],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
    )
    branch = helper.make_node("If", ["yes"], ["logits"], name="if", then_branch=body("a"), else_branch=body("b"))
    onnx.save(model_of([branch], {"yes": np.array(True), "w": floats(4, 4)}), tmp_path / "model.onnx")
    with pytest.raises(WinnowError, match="in the body of a loop or branch, whose"):
        count_operations(tmp_path / "model.onnx", (4, 4, 4))
