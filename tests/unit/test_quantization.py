"""Every kind of built-in network becomes integer operators in both runtimes, by every method."""

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from samples import colored_squares, model_settings, train_in, training_settings
from winnow.config.settings import QatSettings
from winnow.deploy.coverage import measure_coverage
from winnow.deploy.export import example_images, export_checked
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.openvino_runtime import load as load_openvino
from winnow.deploy.operations import count_operations
from winnow.deploy.overflow import saturating_layers
from winnow.errors import WinnowError
from winnow.measure import metrics
from winnow.models.build import build_model
from winnow.prune.masks import Masks
from winnow.quantize.aware import AwareTraining
from winnow.quantize.diagnosis import warn_of_loss
from winnow.quantize.dynamic import quantize_dynamic
from winnow.quantize.images import calibration_batches
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe
from winnow.train.loop import Trainee

# one of each kind of block: the others have more of them
NETWORKS = {
    "resnet18": 21,
    "resnet50": 54,
    "mobilenet_v2": 53,
    "vgg16_bn": 14,
    "resnet20": 20,
    "lenet_300_100": 3,
    "lenet5": 4,
}
SHAPE = (3, 32, 32)


def qat_settings(**changes) -> QatSettings:
    values = {"freeze_observers_epoch": 2, "freeze_batchnorm_epoch": 3, "distill": None}
    return QatSettings(**values | {"training": training_settings(**changes)})


@pytest.fixture(scope="module")
def data():
    return colored_squares(80, 10)


def settled(name, data, **changes):
    """A network whose batch norms have seen the data, as after training."""
    model = build_model(model_settings(name, **changes), data.task, seed=1).train()
    images = torch.cat(list(calibration_batches(data, 32)))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.5
        for _ in range(6):
            model(images)
    return model.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_dynamic_and_static_quantization_cover_every_layer(name, data, tmp_path):
    model = settled(name, data)
    fp32, dynamic, ptq = (tmp_path / f"{kind}.onnx" for kind in ("fp32", "dynamic", "ptq"))
    export_checked(model, data, fp32, run=name, integer=False)
    quantize_dynamic(fp32, dynamic, Recipe("dynamic"))
    export_checked(
        quantize_static(model, calibration_batches(data, 32), Recipe("ptq")), data, ptq, run=name, integer=True
    )
    operations = count_operations(fp32, SHAPE)
    names = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert {operation.layer for operation in operations} == set(names)
    assert len(operations) == NETWORKS[name]
    assert measure_coverage(fp32, SHAPE, "onnxruntime").layers == 0
    for path in (dynamic, ptq):
        coverage = measure_coverage(path, SHAPE, "onnxruntime")
        assert coverage.macs == 1
        assert {o.layer: o.macs for o in coverage.operations} == {o.layer: o.macs for o in operations}
        assert path.stat().st_size < 0.55 * fp32.stat().st_size
    coverage = measure_coverage(ptq, SHAPE, "openvino")
    assert (coverage.macs, coverage.layers) == (1, NETWORKS[name])


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "lenet_300_100", "lenet5"])  # all forms of layers
def test_aware_training_covers_every_layer(name, data, tmp_path):
    aware = AwareTraining(settled(name, data), example_images(data), qat_settings(), Recipe("qat"))
    model = aware.trainee.model
    aware.trainee.before_epoch(0)
    aware.trainee.set_mode(model, True)
    with torch.no_grad():
        model(example_images(data))
    path = tmp_path / "qat.onnx"
    export_checked(aware.convert(), data, path, run=name, integer=True)
    for runtime in ("onnxruntime", "openvino"):
        coverage = measure_coverage(path, SHAPE, runtime)
        assert (coverage.macs, coverage.layers) == (1, NETWORKS[name])


def test_one_file_serves_every_batch_size_and_both_runtimes_agree(data, tmp_path):
    path = tmp_path / "model.onnx"
    quantized = quantize_static(settled("resnet20", data), calibration_batches(data, 40), Recipe("ptq", "minmax"))
    export_checked(quantized, data, path, run="r", integer=True)
    images = np.random.default_rng(0).standard_normal((7, *SHAPE), dtype=np.float32)
    one, other = (load(path, threads=1)(images) for load in (load_onnxruntime, load_openvino))
    assert one.shape == (7, 10)
    assert abs(one - other).mean() < 0.02 * one.std()
    np.testing.assert_allclose(load_onnxruntime(path, threads=1)(images[:1]), one[:1], atol=1e-6)


def test_calibration_images_are_training_images_without_augmentation(data):
    images = torch.cat(list(calibration_batches(data, 64)))
    known = {tuple(image.flatten()[:50].tolist()) for image in data.rows("train")[0][:]}
    mean, std = (torch.from_numpy(n)[:, None, None] for n in (data.normalization.mean, data.normalization.std))
    pixels = ((images * std + mean) * 255).round().to(torch.uint8)
    drawn = {tuple(image.flatten()[:50].tolist()) for image in pixels}
    assert len(drawn) == 64
    assert drawn <= known
    with pytest.raises(WinnowError, match="calibration_samples is 65, but the training split has 64 images"):
        list(calibration_batches(data, 65))


class OwnNorms(nn.Sequential):
    """Batch norms with an epsilon and momentum of their own, bias in front, ReLU6, dropout."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8, eps=0.5, momentum=0.3),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3),
            nn.BatchNorm2d(8, eps=0.3, momentum=0.2),
            nn.ReLU6(),
            nn.Dropout(0.5),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )


def test_aware_training_respects_epsilon_and_momentum(data):
    images = example_images(data)
    model = OwnNorms().train()
    for _ in range(30):
        model(images)
    float_logits = model.eval()(images).detach()
    reference = OwnNorms()
    reference.load_state_dict(model.state_dict())
    aware = AwareTraining(model, images, qat_settings(), Recipe("qat"))
    trainee = aware.trainee
    trainee.before_epoch(0)
    trainee.set_mode(trainee.model, True)
    trainee.model(images)
    trainee.set_mode(trainee.model, False)
    prepared = trainee.model(images).detach()
    assert torch.equal(prepared, trainee.model(images))  # dropout is off
    assert (prepared - float_logits).abs().mean() < 0.05 * float_logits.std()
    reference.train()(images)
    torch.testing.assert_close(
        trainee.model.state_dict()["1.running_mean"], reference[1].running_mean, atol=0.02, rtol=0.02
    )
    converted = aware.convert()(images)
    assert (converted - prepared).abs().mean() < 0.02 * prepared.std()


class OnlyInTraining(nn.Module):
    """A residual branch with what works under `self.training` alone."""

    def __init__(self, kind):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.kind = {
            "stochastic depth": StochasticDepth(0.2, "row"),
            "channel dropout": nn.Dropout2d(0.3),
            "random slopes": nn.RReLU(),
            "alpha dropout": nn.AlphaDropout(0.2),
            "noise": Noise(),
        }[kind]
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x)
        return self.head((x + self.kind(self.body(x))).mean((2, 3)))


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x) if self.training else x


@pytest.mark.parametrize("kind", ["stochastic depth", "channel dropout", "random slopes", "alpha dropout", "noise"])
def test_what_works_only_in_training_never_reaches_a_file(kind, data, tmp_path):
    settings = qat_settings(epochs=2, lr=0.01, warmup_epochs=0)
    images = example_images(data)
    aware = AwareTraining(OnlyInTraining(kind), images, settings, Recipe("qat"))
    train_in(tmp_path, aware.trainee, data, settings.training)
    with torch.no_grad():
        validated = aware.model(images).numpy()
    export_checked(aware.float_model(), data, tmp_path / "float.onnx", run="qat", integer=False)
    export_checked(aware.convert(), data, tmp_path / "model.onnx", run="qat", integer=True)
    operators = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert not {operator for operator in operators if "Random" in operator or operator in ("Bernoulli", "Dropout")}
    expected = load_onnxruntime(tmp_path / "float.onnx", threads=1)(images.numpy())
    for load in (load_onnxruntime, load_openvino):
        network = load(tmp_path / "model.onnx", threads=1)
        logits = network(images.numpy()).copy()
        assert np.array_equal(logits, network(images.numpy()))
        assert abs(logits - validated).mean() < 0.02 * validated.std()
        assert metrics.sqnr_db(expected, logits) > 20


def test_aware_training_in_channels_last_leaves_no_strides_in_the_file(data, tmp_path):
    """As gathers over strides OpenVINO miscomputed the pooling of built-in networks (logits off by 0.79 of 4.2)."""
    images = example_images(data)
    aware = AwareTraining(settled("resnet20", data), images, qat_settings(), Recipe("qat"))
    aware.trainee.set_mode(aware.model.to(memory_format=torch.channels_last), True)
    aware.trainee.before_epoch(0)
    aware.model(images.to(memory_format=torch.channels_last))
    aware.trainee.set_mode(aware.model, False)
    export_checked(aware.convert(), data, tmp_path / "model.onnx", run="qat", integer=True)
    assert "Gather" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    one, other = (load(tmp_path / "model.onnx", 1)(images.numpy()) for load in (load_onnxruntime, load_openvino))
    assert abs(one - other).mean() < 0.05 * one.std()  # what processors round differently, through 20 layers


def test_statistics_freeze_at_their_epochs(data):
    images = example_images(data)
    aware = AwareTraining(OwnNorms(), images, qat_settings(), Recipe("qat"))
    trainee = aware.trainee
    ranges = lambda: torch.cat(
        [v.flatten() for k, v in trainee.model.state_dict().items() if k.endswith((".low", ".high"))]
    )
    mean = lambda: trainee.model.state_dict()["1.running_mean"].clone()
    moved = []
    for epoch in range(3):
        trainee.before_epoch(epoch)
        trainee.set_mode(trainee.model, True)
        before = ranges(), mean()
        trainee.model(images * (epoch + 1) + epoch)
        moved.append((not torch.equal(ranges(), before[0]) if epoch else True, not torch.equal(mean(), before[1])))
        trainee.set_mode(trainee.model, False)
        before = ranges(), mean()
        trainee.model(images * 9)
        assert torch.equal(ranges(), before[0])  # validation moves nothing
        assert torch.equal(mean(), before[1])
    assert moved == [(True, True), (False, True), (False, False)]


class Killed(Exception):
    """Stands for whatever ends a process."""


def test_a_killed_aware_training_ends_in_the_same_network(data, tmp_path):
    """Its state includes the ranges, which have no value before the first batch."""
    images = example_images(data)
    settings = qat_settings(epochs=3, lr=0.01, warmup_epochs=0)

    def qat(folder, killed_before=None):
        aware = AwareTraining(
            build_model(model_settings("resnet20"), data.task, seed=0), images, settings, Recipe("qat")
        )
        begin = aware.trainee.before_epoch

        def before_epoch(epoch):
            if epoch == killed_before:
                raise Killed
            begin(epoch)

        folder.mkdir(exist_ok=True)
        train_in(folder, replace(aware.trainee, before_epoch=before_epoch), data, settings.training)
        return aware.convert()

    whole = qat(tmp_path / "whole")
    for epoch in (1, 2):  # ranges move until the second epoch, norms until the third
        with pytest.raises(Killed):
            qat(tmp_path / "killed", killed_before=epoch)
    resumed = qat(tmp_path / "killed")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert torch.equal(whole(images), resumed(images))


def test_an_export_that_miscomputes_is_refused_and_not_left_behind(data, tmp_path, monkeypatch):
    model = settled("lenet5", data)
    real = load_onnxruntime

    def wrong(path, threads):
        network = real(path, threads)
        return lambda images: network(images) * 1.5

    monkeypatch.setattr("winnow.deploy.export.load_onnxruntime", wrong)
    with pytest.raises(WinnowError, match=r"the/run: the exported network deviates from the one in memory: logits"):
        export_checked(model, data, tmp_path / "model.onnx", run="the/run", integer=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("freeze", [2, 9])
def test_an_absurd_rate_of_aware_training_is_a_loss_that_is_not_finite(freeze, data, tmp_path):
    settings = replace(qat_settings(epochs=3, lr=1e6, warmup_epochs=0), freeze_observers_epoch=freeze)
    model = build_model(model_settings("lenet5"), data.task, seed=0)
    aware = AwareTraining(model, example_images(data), settings, Recipe("qat"))
    with pytest.raises(
        WinnowError, match=r"net: the loss is not finite in epoch \d, step \d+ of \d+, at learning rate"
    ):
        train_in(tmp_path, aware.trainee, data, settings.training)


TRAINED_BY = {
    "w4a4": {"weight_bits": 4, "activation_bits": 4},
    "tensor": {"weights": "per_tensor", "weight_bits": 5},
    "safe": {"overflow": "safe"},
    "all": {"weight_bits": 8, "activation_bits": 8, "weights": "per_tensor", "overflow": "safe"},
}


@pytest.mark.parametrize("name", TRAINED_BY)
def test_what_is_trained_under_a_recipe_is_what_ships(name, data, tmp_path):
    """Masks hold, too: a weight of zero is the level zero."""
    images, recipe = example_images(data), Recipe("qat", **TRAINED_BY[name])
    model = OwnNorms().train()
    for _ in range(20):
        model(images)
    keep = torch.rand(model[3].weight.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    aware = AwareTraining(model.eval(), images, qat_settings(), recipe, Masks({"3.weight": keep}))
    trainee = aware.trainee
    optimizer = torch.optim.SGD(trainee.model.parameters(), lr=0.01)
    for epoch in range(3):
        trainee.before_epoch(epoch)
        trainee.set_mode(trainee.model, True)
        trainee.after_step()
        for _ in range(3):
            optimizer.zero_grad()
            trainee.model(images).square().mean().backward()
            optimizer.step()
            trainee.after_step()
    trainee.set_mode(trainee.model, False)
    aware.check("run")
    quantized = aware.convert()
    with torch.no_grad():
        prepared, converted = trainee.model(images), quantized(images)
    assert (converted - prepared).abs().mean() < 0.02 * prepared.std()
    codes = dict(quantized.named_buffers())
    largest = 2 ** (recipe.weight_bits - 1) - 1
    for layer in ("0", "3", "9"):
        assert int(codes[f"{layer}.weight"].abs().amax()) <= largest
    assert not codes["3.weight"][~keep].any()
    export_checked(quantized, data, tmp_path / "model.onnx", run="qat", integer=True)
    assert measure_coverage(tmp_path / "model.onnx", SHAPE, "openvino").macs == 1
    assert saturating_layers(tmp_path / "model.onnx") == ()


def test_a_value_that_training_has_never_seen_is_named(data):
    aware = AwareTraining(OwnNorms().eval(), example_images(data), qat_settings(), Recipe("qat"))
    with pytest.raises(WinnowError, match=r"run: the images: no training step has seen the range of input_1; raise"):
        aware.check("run")


def damaged(kind, aware):
    """What training can do to a network."""
    model = aware.model
    with torch.no_grad():
        if kind == "rate":
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape))
        elif kind == "norms":
            model.get_buffer("1.running_mean").add_(50)
        elif kind == "rounding":
            for name, buffer in model.named_buffers():
                if name.endswith("high") and "relu" in name:
                    buffer.mul_(1e5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("nothing", None),
        ("rate", r"from 100\.00 % to \S+ %; its weights in float are worse, too: lower quantization.qat.lr, now 0.05"),
        ("norms", r"its batch norms have lost their statistics: with those of each batch it is as good as before"),
        ("rounding", r"its weights in float are as good as before, so the rounding costs it"),
    ],
)
def test_training_that_loses_accuracy_says_why_in_a_line(kind, expected, caplog, tmp_path):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU()
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    two = colored_squares(200, 2)
    train_in(tmp_path, Trainee(model), two, training_settings(epochs=3))
    aware = AwareTraining(model.eval(), example_images(two), qat_settings(), Recipe("qat"))
    trainee = aware.trainee
    trainee.before_epoch(0)
    trainee.set_mode(trainee.model, True)
    with torch.no_grad():
        trainee.model(example_images(two))
    trainee.set_mode(trainee.model, False)
    damaged(kind, aware)
    caplog.clear()
    warn_of_loss(aware, two, qat_settings(), "the/run")
    lines = [record.getMessage() for record in caplog.records]
    if expected is None:
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith("the/run: quantization-aware training has lost accuracy on 40 validation images, ")
        assert re.search(expected, line), line
