"""What is measured: each metric against its definition, each invariant broken on purpose."""

import math
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic as onnx_quantize_dynamic
from torch import nn

import records
from samples import REPOSITORY, colored_squares, model_settings, normalization_settings, write_dataset
from winnow.config.settings import BenchmarkSettings, BoundsSettings
from winnow.data.prepared import read_prepared
from winnow.deploy.export import export_checked
from winnow.deploy.graphs import computation
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.openvino_runtime import failure as openvino_failure
from winnow.deploy.openvino_runtime import load as load_openvino
from winnow.deploy.runtimes import Trained
from winnow.errors import WinnowError
from winnow.measure import metrics
from winnow.measure.counterpart import demands
from winnow.measure.energy import EnergyMeter
from winnow.measure.layer_noise import layer_sqnr
from winnow.measure.machine import machine
from winnow.measure.quality import Files, Origin, evaluate
from winnow.measure.speed import benchmark
from winnow.models.build import build_model
from winnow.models.weights import save_weights
from winnow.quantize.dynamic import quantize_dynamic
from winnow.quantize.images import calibration_batches
from winnow.quantize.static import quantize_static
from winnow.study.identity import Identity
from winnow.study.quality import InRuntime, RuntimeCoverage
from winnow.study.recipe import Recipe
from winnow.study.training import Training

ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}


IDENTITY = Identity("d", "m", 0, "dense", "fp32", "fp32")


@pytest.fixture(scope="module")
def data():
    return colored_squares(100, 20)


@pytest.fixture(scope="module")
def files(data, tmp_path_factory):
    """lenet5 as fp32, dynamic and ptq, its weights, and the data."""
    folder = tmp_path_factory.mktemp("lenet5")
    model = build_model(model_settings("lenet5"), data.task, seed=0).eval()
    paths = {kind: folder / f"{kind}.onnx" for kind in ("fp32", "dynamic", "ptq")}
    export_checked(model, data, paths["fp32"], run="r", integer=False)
    quantize_dynamic(paths["fp32"], paths["dynamic"], Recipe("dynamic"))
    quantized = quantize_static(model, calibration_batches(data, 64), Recipe("ptq"))
    export_checked(quantized, data, paths["ptq"], run="r", integer=True)
    save_weights(folder / "weights.safetensors", model)
    write_dataset(folder / "data.safetensors", data)
    return paths | {"weights": folder / "weights.safetensors", "data": folder / "data.safetensors"}


def score(files, precision, path=None, training=None, **bounds):
    """Evaluate with bounds that all pass; a keyword sets one."""
    settings = BoundsSettings(**{"min_integer_macs": 1.0, "min_sqnr_db": 6.0, "min_agreement": 0.8} | bounds)
    float_file, recipe = files["fp32"], None if precision == "fp32" else Recipe(precision)
    path = path or files[precision]
    identity = Identity("d", "m", 0, "dense", precision, precision)
    origin = Origin(state_dict_bytes=1000, training=training or records.training(), pruning=None, recipe=recipe)
    found = Files(path, float_file, float_file)
    data = read_prepared(files["data"], normalization_settings(mean=[0.5], std=[0.25]))
    return evaluate(found, data, identity, origin, settings, run="the/run", threads=1)


def test_of_an_imported_network_that_seems_to_know_nothing_the_usual_causes_are_named(files, caplog):
    assert not score(files, "fp32").test.learned
    assert "the/run: has learned nothing: " in caplog.text
    assert "usual causes" not in caplog.text
    score(files, "fp32", training=Training.of_import())
    (told,) = (line for line in caplog.text.splitlines() if "usual causes" in line)
    assert all(cause in told for cause in ("classes", "resized or cropped", "channels", "mean and standard deviation"))


def test_classification_scores():
    logits = np.zeros((4, 25))
    logits[np.arange(4), [1, 2, 3, 4]] = 5.0
    logits[2, 7] = 4.0
    scores = metrics.classification(logits, np.array([1, 2, 7, 9]))
    assert scores.top1 == 0.5
    assert scores.top5 >= 0.75
    probability = math.exp(5) / (math.exp(5) + 24)
    assert metrics.classification(logits[:1], np.array([1])).loss == pytest.approx(-math.log(probability))
    assert metrics.classification(np.eye(3), np.arange(3)).top5 is None


def test_the_calibration_error_is_how_far_confidence_is_from_accuracy():
    sure = np.array([[0.9, 0.1]] * 10)  # 90 % sure, and right as often as the labels say
    assert metrics.calibration_error(sure, np.array([0] * 9 + [1])) == pytest.approx(0)
    assert metrics.calibration_error(sure, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.4)
    mixed = np.concatenate([sure, np.array([[0.6, 0.4]] * 10)])  # two bins, which do not cancel
    assert metrics.calibration_error(mixed, np.array([0] * 10 + [1] * 10)) == pytest.approx((0.1 + 0.6) / 2)
    assert metrics.classification(np.zeros((4, 3)), np.zeros(4, int)).further["calibration_error"] == pytest.approx(
        2 / 3
    )


def test_signals_arrive_after_openvino_has_let_networks_go(files):
    """Several of its plugins leave a freed signal stack behind: a crash, hence in a process of its own."""
    program = (
        "import os, signal, sys\n"
        "from winnow.deploy.openvino_runtime import load as load_openvino\n"
        "networks = [load_openvino(path, threads=1) for path in sys.argv[1:]]\n"
        "while networks: networks.pop(0)\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    command = [sys.executable, "-c", program, str(files["fp32"]), str(files["ptq"])]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_confusion_counts_true_classes_in_rows():
    logits = np.eye(3)[[0, 1, 1, 2]]
    assert metrics.confusion_matrix(logits, np.array([0, 1, 2, 2])) == ((1, 0, 0), (0, 1, 0), (0, 1, 1))


def test_sqnr_is_in_decibels():
    reference = np.array([3.0, 4.0])
    assert metrics.sqnr_db(reference, reference + np.array([0.3, 0.4])) == pytest.approx(20)
    assert metrics.sqnr_db(reference, reference) is None
    assert metrics.mean_absolute_error(reference, reference + np.array([0.3, -0.4])) == pytest.approx(0.35)


def test_sizes_count_bytes_and_zeros(tmp_path):
    weight = np.zeros((10, 100), np.float32)
    weight[0] = np.arange(1, 101)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 100])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    size = metrics.file_sizes(tmp_path / "m.onnx", state_dict_bytes=7)
    assert size.onnx_bytes == (tmp_path / "m.onnx").stat().st_size
    assert (size.parameters, size.nonzero_parameters) == (1000, 100)
    assert size.onnx_bytes - size.sparse_bytes == 4000 - (400 + 125)
    assert size.gzip_bytes < 1000


def test_fp32_is_scored_from_its_file(files):
    quality = score(files, "fp32")
    assert quality.quantization is None
    assert quality.coverage.runtimes["onnxruntime"].macs == quality.coverage.parameters == 0
    assert quality.test.top5 is not None
    assert np.array(quality.confusion).sum() == quality.test.samples == 50
    assert quality.validation.samples == 20
    for runtime in ("onnxruntime", "openvino"):
        assert quality.runtimes[runtime].agrees
        assert quality.runtimes[runtime].scores.top1 == quality.test.top1
    assert quality.runtimes["onnxruntime"].difference == 0 < quality.runtimes["openvino"].difference < 1e-5


def test_weights_of_fewer_bits_have_a_packed_size_beside_that_of_the_file(files):
    constants = map(numpy_helper.to_array, onnx.load(files["ptq"]).graph.initializer)
    integers = sum(values.nbytes for values in constants if values.dtype == np.int8 and values.ndim)
    for bits in (2, 4, 7):
        size = metrics.file_sizes(files["ptq"], 0, Recipe("ptq", weight_bits=bits))
        assert size.onnx_bytes == files["ptq"].stat().st_size
        assert size.packed_bytes == size.onnx_bytes - integers * (8 - bits) // 8
    assert integers > 0.9 * size.onnx_bytes
    assert metrics.file_sizes(files["ptq"], 0, Recipe("ptq", activation_bits=4)).packed_bytes is None


def test_what_a_recipe_gives_up_on_purpose_is_no_mistake():
    bounds = BoundsSettings(min_integer_macs=0.9, min_sqnr_db=6.0, min_agreement=0.8)
    assert demands(bounds, None) == demands(bounds, Recipe("ptq", observer="minmax")) == bounds
    fewer = demands(bounds, Recipe("qat", activation_bits=6))
    assert (fewer.min_integer_macs, fewer.min_agreement) == (0.9, 0.0)
    assert fewer.min_sqnr_db == -math.inf
    spared = demands(bounds, Recipe("ptq", keep_float=1))
    assert (spared.min_integer_macs, spared.min_sqnr_db, spared.min_agreement) == (0.0, 6.0, 0.8)


@pytest.mark.parametrize("precision", ["dynamic", "ptq"])
def test_quantized_networks_are_compared_with_their_source(files, precision):
    quality = score(files, precision)
    difference = quality.quantization
    assert 0 < difference.error < 0.05
    assert difference.sqnr_db > 15
    assert [layer.layer for layer in difference.layers] == ["0", "3", "7", "9"]
    assert all(layer.sqnr_db > 15 for layer in difference.layers)
    assert difference.validation.sqnr_db > 15
    assert difference.validation.agreement == 1
    assert quality.runtimes["openvino"].agrees
    coverage = quality.coverage
    assert coverage.runtimes["onnxruntime"] == RuntimeCoverage(1, 4, ())
    assert coverage.runtimes["openvino"].integer_layers == (4 if precision == "ptq" else 0)
    assert coverage.runtimes["openvino"].macs == (precision == "ptq")
    biases = 20 + 50 + 500 + 20  # which dynamic quantization leaves in float
    weights = 20 * 75 + 50 * 500 + 500 * 50 * 25 + 20 * 500
    assert coverage.parameters == pytest.approx(weights / (weights + biases) if precision == "dynamic" else 1)


def test_noise_in_one_layer_shows_from_there_on(files, tmp_path):
    model = onnx.load(files["fp32"])
    weight = next(w for w in model.graph.initializer if w.name == "7.weight")
    values = numpy_helper.to_array(weight)
    noisy = values + np.random.default_rng(0).normal(0, values.std(), values.shape).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(noisy, weight.name))
    onnx.save(model, tmp_path / "noisy.onnx")
    images = np.random.default_rng(0).standard_normal((8, 3, 32, 32), dtype=np.float32)
    sqnr = [layer.sqnr_db for layer in layer_sqnr(files["fp32"], tmp_path / "noisy.onnx", images)]
    assert sqnr[:2] == [None, None]
    assert all(value < 10 for value in sqnr[2:])


def test_a_layer_left_in_floating_point_is_an_error_that_names_it(files, tmp_path):
    partly = tmp_path / "partly.onnx"
    onnx_quantize_dynamic(files["fp32"], partly, op_types_to_quantize=["Conv"])
    total = 28 * 28 * 1500 + 10 * 10 * 25000 + 500 * 1250 + 20 * 500
    share = 100 * (28 * 28 * 1500 + 10 * 10 * 25000) / total
    message = (
        rf"the/run: ONNX Runtime runs {int(10 * share) / 10} % of the multiply-accumulates on integers, "
        r"quantization.min_integer_macs asks for 100 %; in float stay 7 \(MatMul, .*\): its weights are not quantized; "
        r"9 \(MatMul, .*leave dynamic out for this network"
    )
    with pytest.raises(WinnowError, match=message):
        score(files, "dynamic", partly)
    entry = score(files, "dynamic", partly, min_integer_macs=0.8).coverage.runtimes["onnxruntime"]
    assert entry.macs == pytest.approx(share / 100)
    assert [layer.layer for layer in entry.float_layers] == ["7", "9"]
    assert sum(layer.macs for layer in entry.float_layers) == pytest.approx(1 - share / 100)
    with pytest.raises(WinnowError, match=r"the/run: ONNX Runtime runs 0 %"):
        score(files, "ptq", files["fp32"])
    with pytest.raises(WinnowError, match=r"the/run: OpenVINO runs 0 %"):
        score(files, "ptq", files["dynamic"])
    with pytest.raises(WinnowError, match=r"ONNX Runtime runs 4 of 4 operators of a float network on integers"):
        score(files, "fp32", files["ptq"])


def damaged(path, layer, target, change):
    """Write a copy of a file with the weights of one layer changed."""
    model = onnx.load(path)
    weight = next(w for w in model.graph.initializer if w.name.startswith(f"{layer}.weight") and len(w.dims) > 1)
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight)), weight.name))
    onnx.save(model, target)
    return target


@pytest.mark.parametrize("precision", ["dynamic", "ptq"])
def test_a_network_that_computes_something_else_than_in_float_is_refused_with_the_layer(files, tmp_path, precision):
    wrong = damaged(files[precision], "3", tmp_path / "wrong.onnx", lambda values: values[::-1].copy())
    message = (
        r"the/run: .*wrong.onnx deviates grossly from .*fp32.onnx on 20 validation images "
        r"\(SQNR of the logits -?\d.* dB, quantization.min_sqnr_db is 6.*\); it begins in layer 3 \(-?\d"
    )
    with pytest.raises(WinnowError, match=message):
        score(files, precision, wrong)
    with pytest.raises(WinnowError, match=r"% of decided predictions equal, quantization.min_agreement is 1"):
        score(files, precision, wrong, min_sqnr_db=-99.0, min_agreement=1.0)
    found = score(files, precision, wrong, min_sqnr_db=-99.0, min_agreement=0.0).quantization.validation
    assert found.sqnr_db < 6


class ChannelsLast(nn.Module):
    """Asks for the memory format itself, as some code does for speed."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(8, 20)

    def forward(self, images):
        return self.head(self.body(images.contiguous(memory_format=torch.channels_last)).flatten(1))


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize(
    "network", [ChannelsLast, lambda: build_model(model_settings("resnet20"), colored().task, seed=0)]
)
def test_the_memory_format_of_training_does_not_reach_a_file(network, tmp_path):
    data = colored()
    model = network().eval()
    quantized = quantize_static(model, calibration_batches(data, 32), Recipe("ptq", "minmax"))
    for kind, module in (("fp32", model), ("ptq", quantized)):
        export_checked(module, data, tmp_path / "contiguous.onnx", run="r", integer=kind == "ptq")
        module.to(memory_format=torch.channels_last)
        export_checked(module, data, tmp_path / "last.onnx", run="r", integer=kind == "ptq")
        assert operators(tmp_path / "last.onnx") == operators(tmp_path / "contiguous.onnx")
        assert "Gather" not in operators(tmp_path / "last.onnx")
        if kind == "fp32":  # the module was not changed; a quantized one has no parameters of four dimensions
            assert not next(module.parameters()).is_contiguous()


def colored():
    return colored_squares(40, 20)


def test_a_runtime_that_computes_something_else_is_said_and_never_an_error(files, monkeypatch):
    real = load_openvino

    def wrong(path, threads, hint):
        network = real(path, threads, hint)
        return lambda images: network(images)[:, ::-1]

    monkeypatch.setattr("winnow.deploy.openvino_runtime.load", wrong)
    found = score(files, "ptq").runtimes
    assert not found["openvino"].agrees
    assert found["openvino"].runs
    assert found["openvino"].difference > found["openvino"].tolerance.difference
    assert found["onnxruntime"].agrees


def noisy(strength):
    """Logits that another rounding of a noisy network would give: its noise drawn again."""

    def change(logits, truth):
        noise = np.random.default_rng(0).permutation((logits - truth).ravel()).reshape(logits.shape)
        return truth + strength * noise

    return change


@pytest.mark.parametrize(("strength", "agrees"), [(1.0, True), (3.0, False)])
def test_a_runtime_as_near_to_the_float_network_as_the_first_one_agrees(files, monkeypatch, strength, agrees):
    """A network that quantization disturbs much differs between runtimes by as much as from its counterpart."""
    first, counterpart = load_onnxruntime(files["ptq"], 1), load_onnxruntime(files["fp32"], 1)
    truth = lambda images: counterpart(images) + 0.3 * counterpart(images).std() * np.sin(50 * first(images))
    monkeypatch.setattr("winnow.deploy.openvino_runtime.load", lambda *_: lambda x: noisy(strength)(first(x), truth(x)))
    real = load_onnxruntime
    monkeypatch.setattr(
        "winnow.deploy.onnx_runtime.load", lambda path, *more: truth if path == files["fp32"] else real(path, *more)
    )
    found = score(files, "ptq", min_sqnr_db=-99.0, min_agreement=0.0).runtimes["openvino"]
    assert found.difference > found.tolerance.difference
    assert found.agrees == agrees


def raising(_):
    raise RuntimeError("Check failed:\ncannot broadcast")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda _: np.zeros((0, 20), np.float32), "gives 0 rows of logits for 50 images"),
        (lambda images: np.full((len(images), 20), np.nan, np.float32), "gives logits that are not finite"),
        (raising, "cannot broadcast"),
    ],
)
def test_what_openvino_cannot_run_is_said_and_never_an_error(network, reason, files, monkeypatch):
    monkeypatch.setattr("winnow.deploy.openvino_runtime.load", lambda *_: network)
    found = score(files, "ptq").runtimes["openvino"]
    assert found == InRuntime(runs=False, agrees=False, reason=reason)


def unknown_operator(path):
    graph = helper.make_graph(
        [helper.make_node("Unknown", ["images"], ["logits"], domain="somewhere")],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 20])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("somewhere", 1)]), path)
    return path


def test_a_file_that_openvino_does_not_load_or_crashes_on_is_said(files, monkeypatch, tmp_path):
    assert "Unknown" in openvino_failure(unknown_operator(tmp_path / "unknown.onnx"))
    assert openvino_failure(files["fp32"]) is None
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("winnow.deploy.openvino_runtime._LOADING", crash)
    assert openvino_failure(files["fp32"]) == "crashes (SIGSEGV)"
    quality = score(files, "ptq")
    assert quality.runtimes["openvino"] == InRuntime(runs=False, agrees=False, reason="crashes (SIGSEGV)")
    assert quality.coverage.runtimes["openvino"] is None
    settings = BenchmarkSettings(("onnxruntime", "openvino"), (1,), (1,), 0.01, 0.02, 65.0)
    timings = benchmark(files["ptq"], None, (3, 32, 32), settings, IDENTITY).timings
    assert [timing.runtime for timing in timings] == ["onnxruntime"]


def test_logits_that_are_not_finite_are_an_error(files, tmp_path):
    model = onnx.load(files["fp32"])
    bias = next(w for w in model.graph.initializer if w.name == "9.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(20, np.nan, np.float32), bias.name))
    onnx.save(model, tmp_path / "nan.onnx")
    with pytest.raises(WinnowError, match=r"the/run: .*not finite"):
        score(files, "fp32", tmp_path / "nan.onnx")


def test_a_damaged_file_is_named(files, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(WinnowError, match=r"model.onnx: not readable as ONNX .*; delete it and run again"):
        score(files, "fp32", tmp_path / "model.onnx")


def test_a_file_that_the_first_runtime_does_not_load_is_an_error_and_not_left_out(tmp_path):
    settings = BenchmarkSettings(("onnxruntime", "openvino"), (1,), (1,), 0.01, 0.02, 65.0)
    with pytest.raises(WinnowError, match=r"unknown.onnx: ONNX Runtime cannot load it"):
        benchmark(unknown_operator(tmp_path / "unknown.onnx"), None, (3, 32, 32), settings, IDENTITY)


def test_every_configuration_is_timed(files, data):
    settings = BenchmarkSettings(("onnxruntime", "openvino", "torch"), (1, 4), (1, 2), 0.01, 0.05, 65.0)
    trained = Trained(model_settings("lenet5"), data.task, files["weights"])
    speed = benchmark(files["fp32"], trained, (3, 32, 32), settings, IDENTITY)
    keys = [(t.runtime, t.batch_size, t.threads) for t in speed.timings]
    assert sorted(keys) == sorted(
        (r, b, t) for r in ("onnxruntime", "openvino", "torch") for b in (1, 4) for t in (1, 2)
    )
    for timing in speed.timings:
        assert 0 < timing.median_ms <= timing.p95_ms
        assert 0 < timing.low_ms <= timing.high_ms
        assert timing.repeats >= 12
        assert timing.energy_per_image.joules > 0
        assert timing.energy_per_image.estimated == (timing.energy_per_image.source == "estimate")
    without = benchmark(files["ptq"], None, (3, 32, 32), settings, IDENTITY)
    assert {t.runtime for t in without.timings} == {"onnxruntime", "openvino"}
    assert machine().versions["onnxruntime"]


class Steady:
    """A runtime whose calls take as long as they are told to."""

    def __init__(self, monkeypatch, milliseconds):
        self.seconds, self.milliseconds = 0.0, milliseconds
        monkeypatch.setattr("winnow.measure.speed.time.perf_counter", lambda: self.seconds)
        monkeypatch.setattr("winnow.measure.speed.shipping", lambda _: self)

    def load(self, *_):
        return self.call

    def call(self, _):
        self.seconds += self.milliseconds(self.seconds) / 1000


@pytest.mark.parametrize(
    ("milliseconds", "rounds", "interval"),
    [
        (lambda _: 1.0, 6, (1.0, 1.0)),  # as few rounds as an interval takes
        (lambda now: 1.0 + now, 20, (1.32, 2.12)),  # a machine that gets slower is timed to the end
    ],
)
def test_a_latency_is_timed_until_its_median_is_known(monkeypatch, files, milliseconds, rounds, interval):
    Steady(monkeypatch, milliseconds)
    settings = BenchmarkSettings(("onnxruntime",), (1,), (1,), 0.01, 1.0, 65.0)
    (timing,) = benchmark(files["fp32"], None, (3, 32, 32), settings, IDENTITY).timings
    assert timing.repeats == rounds * 50
    assert (timing.low_ms, timing.high_ms) == pytest.approx(interval, rel=0.1)
    assert timing.low_ms <= timing.median_ms <= timing.high_ms


def test_networks_that_differ_in_their_weights_do_the_same_work(tmp_path, files):
    """Not what a channel more, another operator or another type make of them."""
    model = onnx.load(files["fp32"])
    for constant in model.graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT:
            constant.raw_data = (onnx.numpy_helper.to_array(constant) * 2).tobytes()
        constant.name += " renamed"
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in {constant.name.removesuffix(" renamed") for constant in model.graph.initializer}:
                node.input[index] += " renamed"
    onnx.save(model, tmp_path / "other.onnx")
    assert computation(tmp_path / "other.onnx") == computation(files["fp32"])
    assert computation(files["ptq"]) != computation(files["fp32"])
    model.graph.node[-1].attribute.append(onnx.helper.make_attribute("another", 1))
    onnx.save(model, tmp_path / "other.onnx")
    assert computation(tmp_path / "other.onnx") != computation(files["fp32"])


def test_what_is_exported_is_scored_and_timed_without_torch(files):
    program = (
        "import sys\n"
        "from winnow.config.settings import BenchmarkSettings, BoundsSettings, NormalizationSettings\n"
        "from winnow.data.prepared import read_prepared\n"
        "from winnow.measure.quality import Files, Origin, evaluate\n"
        "from winnow.measure.speed import benchmark\n"
        "from winnow.quantize.dynamic import quantize_dynamic\n"
        "from winnow.study.identity import Identity\n"
        "from winnow.study.recipe import Recipe\n"
        "from winnow.study.training import Training\n"
        "source, target, data = sys.argv[1:]\n"
        "quantize_dynamic(source, target, Recipe('dynamic'))\n"
        "identity = Identity('d', 'm', 0, 'dense', 'dynamic', 'dynamic')\n"
        "origin = Origin(1, Training.of_import(), None, Recipe('dynamic'))\n"
        "bounds = BoundsSettings(min_integer_macs=1.0, min_sqnr_db=6.0, min_agreement=0.8)\n"
        "data = read_prepared(data, NormalizationSettings((0.5,), (0.25,), 1, 'rgb', None))\n"
        "found = evaluate(Files(target, source, source), data, identity, origin, bounds, run='r', threads=1)\n"
        "settings = BenchmarkSettings(('onnxruntime', 'openvino', 'torch'), (1,), (1,), 0.01, 0.02, 65.0)\n"
        "speed = benchmark(target, None, (3, 32, 32), settings, identity)\n"
        "print(found.test.samples, len(speed.timings), *sys.modules)\n"
    )
    dynamic = files["fp32"].with_name("without torch.onnx")
    command = [sys.executable, "-c", program, *map(str, (files["fp32"], dynamic, files["data"]))]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    samples, timings, *modules = done.stdout.split()
    assert (samples, timings) == ("50", "2")
    assert {"numpy", "onnx", "onnxruntime", "openvino"} <= set(modules)
    assert not {"torch", "torchvision", "pandas", "scipy"} & set(modules)
    assert dynamic.read_bytes() == files["dynamic"].read_bytes()


def test_idle_power_is_subtracted(monkeypatch):
    clock = {"seconds": 0.0, "joules": 0.0}

    def wait(seconds, watts=10.0):
        clock["seconds"] += seconds
        clock["joules"] += seconds * watts

    monkeypatch.setattr("winnow.measure.energy._counters", lambda _: {"rapl": lambda: clock["joules"]})
    monkeypatch.setattr("winnow.measure.energy.time.monotonic", lambda: clock["seconds"])
    monkeypatch.setattr("winnow.measure.energy.time.sleep", wait)
    meter = EnergyMeter(tdp_watts=65)
    meter.start()
    wait(2, watts=40)
    joules = meter.lap()
    record = meter.record(joules, 2.0, count=4)
    assert joules == pytest.approx(60)
    assert (record.joules, record.watts) == (pytest.approx(15), pytest.approx(30))
    assert (record.source, record.estimated, record.idle_watts) == ("rapl", False, pytest.approx(10))


def test_without_a_counter_energy_is_an_estimate_and_says_so(monkeypatch):
    monkeypatch.setattr("winnow.measure.energy._counters", lambda _: {})
    monkeypatch.setattr("winnow.measure.energy.os.cpu_count", lambda: 4)
    spent = iter([1.0, 3.0])
    monkeypatch.setattr("winnow.measure.energy.time.process_time", lambda: next(spent))
    meter = EnergyMeter(tdp_watts=100)
    meter.start()
    assert meter.lap() == pytest.approx(50)  # 2 CPU seconds at a quarter of 100 W
    assert meter.record(50.0, 1.0).source == "estimate"
