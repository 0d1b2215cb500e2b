"""What every artifact is held to: it repeats itself, agrees, and its layers can be compared with those in float."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional

from onnx_files import Attention, Hourglass, exported, floats, model_of
from samples import colored_squares
from winnow.deploy.agreement import Agreement, Tolerance, compared
from winnow.deploy.constants import fold_weights
from winnow.deploy.export import example_images, export_checked
from winnow.deploy.graphs import Graph
from winnow.deploy.repeatable import training_only
from winnow.errors import WinnowError
from winnow.measure.layer_noise import layer_sqnr
from winnow.quantize.dynamic import quantize_dynamic
from winnow.study.recipe import Recipe


@pytest.fixture(scope="module")
def data():
    return colored_squares(60, 10)


def test_computed_weights_become_constants_and_keep_their_values():
    nodes = [
        helper.make_node("Mul", ["raw", "gain"], ["scaled"], name="scale"),
        helper.make_node("Split", ["scaled"], ["first", "second"], name="split", axis=0, num_outputs=2),
        helper.make_node("Conv", ["images", "first"], ["maps"], name="conv"),
        helper.make_node("Flatten", ["maps"], ["flat"], name="flatten"),
        helper.make_node("ReduceSum", ["second"], ["total"], name="sum", keepdims=0),
        helper.make_node("Add", ["flat", "total"], ["logits"], name="add"),
    ]
    raw, gain = floats(4, 4, 3, 3), np.array([2.0], np.float32)
    model = model_of(nodes, {"raw": raw, "gain": gain})
    fold_weights(model)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Mul", "Split", "Conv", "Flatten", "ReduceSum", "Add"]
    graph = Graph(model.graph)
    (weight,) = [graph.constant(node.input[1]) for node in graph.nodes if node.op_type == "Conv"]
    np.testing.assert_array_equal(numpy_helper.to_array(weight), 2 * raw[:2])
    lone = model_of(
        [*nodes[:4], helper.make_node("Identity", ["flat"], ["logits"], name="end")], {"raw": raw, "gain": gain}
    )
    fold_weights(lone)
    assert [node.op_type for node in lone.graph.node] == ["Conv", "Flatten", "Identity"]
    assert [constant.name for constant in lone.graph.initializer] == ["first"]


# ---- what belongs to training


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (helper.make_node("RandomUniformLike", ["images"], ["x"], name="noise"), ["RandomUniformLike (noise)"]),
        (helper.make_node("RandomNormalLike", ["images"], ["x"], name="noise"), ["RandomNormalLike (noise)"]),
        (helper.make_node("Bernoulli", ["images"], ["x"], name="mask"), ["Bernoulli (mask)"]),
        (helper.make_node("Dropout", ["images", "ratio", "yes"], ["x"], name="drop"), ["Dropout (drop)"]),
        (helper.make_node("Dropout", ["images", "ratio", "no"], ["x"], name="drop"), []),
        (helper.make_node("Dropout", ["images"], ["x"], name="drop"), []),
        (
            helper.make_node("BatchNormalization", ["images", *"abcd"], ["x", "m", "v"], name="bn", training_mode=1),
            ["BatchNormalization (bn)"],
        ),
        (helper.make_node("BatchNormalization", ["images", *"abcd"], ["x"], name="bn"), []),
    ],
)
def test_what_belongs_to_training_is_found(node, found):
    constants = {"ratio": np.array(0.5, np.float32), "yes": np.array(True), "no": np.array(False)}
    constants |= {name: floats(4) for name in "abcd"}
    assert training_only(model_of([node, helper.make_node("Flatten", ["x"], ["logits"])], constants)) == found


class Noisy(nn.Module):
    def __init__(self, wrong):
        super().__init__()
        self.layer, self.wrong = nn.Linear(3 * 32 * 32, 10), wrong

    def forward(self, x):
        return self.layer(self.wrong(x).flatten(1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda x: x + torch.rand_like(x),
            r"r: the exported network holds RandomUniform.*depend on self.training",
        ),
        (lambda x: functional.dropout(x, 0.5, training=True), r"r: the exported network holds "),
        (
            lambda x: x - x.mean(0, keepdim=True),
            r"r: the exported network gives an image other logits alone",
        ),
    ],
)
def test_networks_that_draw_or_mix_images_are_refused_at_export(wrong, message, data, tmp_path):
    with pytest.raises(WinnowError, match=message):
        export_checked(Noisy(wrong).eval(), data, tmp_path / "model.onnx", run="r", integer=False)
    assert list(tmp_path.iterdir()) == []


class OneBatchSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 10)

    def forward(self, x):
        return self.layer(x.reshape(len(x), -1))


def test_a_network_for_one_batch_size_only_is_refused_in_one_line(data, tmp_path):
    with pytest.raises(
        WinnowError, match=r"^r: the network cannot be exported \(.*batch.*\); write that part"
    ) as error:
        export_checked(OneBatchSize().eval(), data, tmp_path / "model.onnx", run="r", integer=False)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


# ---- agreement


def test_agreement_counts_decided_images_only():
    reference = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [1.0, 1.1, 0.0], [0.0, 0.0, 4.0]])
    logits = reference.copy()
    logits[2] = [1.2, 1.1, 0.0]  # a tie falls the other way
    found = compared(reference, logits)
    assert found.predictions == 1
    assert found.difference == pytest.approx(0.2 / 12 / reference.std())
    logits[3] = [9.0, 0.0, 4.0]
    assert compared(reference, logits).predictions == pytest.approx(2 / 3)
    assert compared(np.zeros((2, 3)), np.zeros((2, 3))) == Agreement(0.0, None)
    tolerance = Tolerance(0.1, 0.9)
    assert tolerance.holds(Agreement(0.1, 0.9))
    assert tolerance.holds(Agreement(0.0, None))
    assert not tolerance.holds(Agreement(float("nan"), 1.0))
    assert not tolerance.holds(Agreement(0.2, 1.0))
    assert not tolerance.holds(Agreement(0.0, 0.8))


# ---- the diagnosis by layer


class Shared(nn.Module):
    """One layer applied three times, tokens, and one and three dimensions of convolution."""

    def __init__(self):
        super().__init__()
        self.start = nn.Conv2d(3, 8, 3, 4, 1)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.line = nn.Conv1d(8, 8, 3, padding=1)
        self.token = nn.Linear(8, 16)
        self.volume = nn.Conv3d(1, 2, 3, padding=1)
        self.head = nn.Linear(2, 10)

    def forward(self, x):
        x = self.start(x)
        for _ in range(3):
            x = functional.relu(self.block(x))
        x = self.token(self.line(x.flatten(2)).transpose(1, 2))
        return self.head(self.volume(x.reshape(x.shape[0], 1, 8, 8, 16)).mean((2, 3, 4)))


def test_layers_of_two_files_are_matched_by_their_weights(data, tmp_path):
    fp32 = exported(Shared, data, tmp_path / "fp32.onnx")
    quantize_dynamic(fp32, tmp_path / "dynamic.onnx", Recipe("dynamic"))
    images = example_images(data).numpy()
    names = ["start", "block", "block (use 2)", "block (use 3)", "line", "token", "volume", "head"]
    for path, least in ((fp32, None), (tmp_path / "dynamic.onnx", 15)):
        layers = layer_sqnr(fp32, path, images)
        assert [layer.layer for layer in layers] == names
        assert all(layer.sqnr_db is None if least is None else layer.sqnr_db > least for layer in layers)


def test_layers_without_a_match_are_left_out(data, tmp_path):
    one = exported(Hourglass, data, tmp_path / "one.onnx")
    other = exported(Attention, data, tmp_path / "other.onnx")
    assert [layer.layer for layer in layer_sqnr(one, other, example_images(data).numpy())] == ["head"]
