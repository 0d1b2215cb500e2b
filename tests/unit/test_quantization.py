"""Every built-in network becomes integer operators in both runtimes, by every method."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from samples import colored_squares, model_settings, training_settings
from winnow.checkpoint import ResumeFile
from winnow.coverage import measure_coverage
from winnow.errors import WinnowError
from winnow.export import example_images, export_checked
from winnow.models import build_model
from winnow.operations import count_operations
from winnow.quantization import AwareTraining, calibration_batches, quantize_dynamic, quantize_static
from winnow.runtimes import load_onnxruntime, load_openvino
from winnow.settings import QatSettings
from winnow.training import train

NETWORKS = {
    "resnet18": 21,
    "resnet34": 37,
    "resnet50": 54,
    "mobilenet_v2": 53,
    "vgg16_bn": 14,
    "resnet20": 20,
    "resnet56": 56,
    "lenet_300_100": 3,
    "lenet5": 4,
}
SHAPE = (3, 32, 32)


def qat_settings(**changes) -> QatSettings:
    values = {"freeze_observers_epoch": 2, "freeze_batchnorm_epoch": 3}
    return QatSettings(**values | {"training": training_settings(**changes)})


@pytest.fixture(scope="module")
def data():
    return colored_squares(80, 10)


def settled(name, data, **changes):
    """A network whose batch norms have seen the data, as after training."""
    model = build_model(model_settings(name, **changes), data, seed=0).train()
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
    quantize_dynamic(fp32, dynamic)
    export_checked(
        quantize_static(model, calibration_batches(data, 32), "histogram"), data, ptq, run=name, integer=True
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


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "mobilenet_v2", "vgg16_bn", "resnet20", "lenet_300_100", "lenet5"]
)
def test_aware_training_covers_every_layer(name, data, tmp_path):
    aware = AwareTraining(settled(name, data), example_images(data), qat_settings())
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
    quantized = quantize_static(settled("resnet20", data), calibration_batches(data, 40), "minmax")
    export_checked(quantized, data, path, run="r", integer=True)
    images = np.random.default_rng(0).standard_normal((7, *SHAPE), dtype=np.float32)
    one, other = (load(path, threads=1)(images) for load in (load_onnxruntime, load_openvino))
    assert one.shape == (7, 10)
    assert abs(one - other).mean() < 0.1 * one.std()
    np.testing.assert_allclose(load_onnxruntime(path, threads=1)(images[:1]), one[:1], atol=1e-6)


def test_calibration_images_are_training_images_without_augmentation(data):
    images = torch.cat(list(calibration_batches(data, 64)))
    known = {tuple(image.flatten()[:50].tolist()) for image in data.split("train")[0]}
    pixels = ((images * data.std[:, None, None] + data.mean[:, None, None]) * 255).round().to(torch.uint8)
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
    aware = AwareTraining(model, images, qat_settings())
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


def test_statistics_freeze_at_their_epochs(data):
    images = example_images(data)
    aware = AwareTraining(OwnNorms(), images, qat_settings())
    trainee = aware.trainee
    ranges = lambda: torch.cat(
        [v.flatten() for k, v in trainee.model.state_dict().items() if k.endswith(("min_val", "max_val"))]
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


def test_a_killed_aware_training_ends_in_the_same_network(data, tmp_path):
    """Its state includes the ranges of the observers, whose shapes differ before the first batch."""

    def qat(name, trained=None):
        settings = qat_settings(epochs=2, lr=0.01, warmup_epochs=0)
        aware = AwareTraining(build_model(model_settings("lenet5"), data, seed=0), example_images(data), settings)
        (tmp_path / name).mkdir(exist_ok=True)
        train(
            aware.trainee,
            data,
            replace(settings.training, epochs=trained or 2),
            run=name,
            seed=0,
            resume=ResumeFile(tmp_path / name / "weights.resume", "k"),
            history=tmp_path / name / "history.csv",
            snapshots={},
            tdp_watts=65.0,
        )
        return aware.convert()(example_images(data))

    settings = training_settings()
    assert settings.schedule == "one_cycle"
    qat("resumed", trained=1)
    (tmp_path / "whole").mkdir()
    first = qat("resumed")
    again = qat("resumed")  # from the finished state
    assert torch.equal(first, again)


def test_an_export_that_miscomputes_is_refused_and_not_left_behind(data, tmp_path, monkeypatch):
    model = settled("lenet5", data)
    real = load_onnxruntime

    def wrong(path, threads):
        network = real(path, threads)
        return lambda images: network(images) * 1.5

    monkeypatch.setattr("winnow.export.load_onnxruntime", wrong)
    with pytest.raises(WinnowError, match=r"the/run: the exported network deviates from the one in memory: logits"):
        export_checked(model, data, tmp_path / "model.onnx", run="the/run", integer=False)
    assert list(tmp_path.iterdir()) == []
