"""Which layers quantization hurts, and how many must stay in float: on a network with one fragile layer."""

import json
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from networks.harness import patterns
from networks.record import Network as Kind
from winnow.errors import WinnowError
from winnow.quantize.bisection import least_good
from winnow.quantize.mixed import spare_layers
from winnow.quantize.sensitivity import measure_sensitivity
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe
from winnow.study.sensitivity import MixedPrecision, Sensitivity

KIND = Kind(name="fragile", situation="", factory=lambda *_: fragile(), shape=(3, 12, 12), classes=8)
RECIPE = Recipe("ptq", "minmax")


def fragile():
    """The second layer has weights a thousand times as large as the others, for a channel that is always zero."""
    layers = nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3, 2), nn.ReLU()
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(108, 8))
    with torch.no_grad():
        model[0].weight[0], model[0].bias[0] = 0, -1  # no gradient passes: it stays so
        model[2].weight[:, 0] = 200.0
    return model


@pytest.fixture(scope="module")
def trained():
    """The network, calibration batches, and validation batches that it is right on 80 to 99 % of."""
    torch.manual_seed(0)
    model, (images, labels) = fragile(), patterns(KIND, 512, seed=1)
    images = images + torch.randn(images.shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(60):
        batch = torch.arange(step * 64, step * 64 + 64) % 512
        optimizer.zero_grad()
        functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    others, truth = patterns(KIND, 600, seed=2)
    others = others + torch.randn(others.shape)
    return model.eval(), images.split(128), list(zip(others.split(200), truth.split(200), strict=True))


@pytest.fixture(scope="module")
def sensitivity(trained):
    model, calibration, validation = trained
    return measure_sensitivity(model, calibration, RECIPE, validation)


def accuracy(model, validation):
    with torch.no_grad():
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in validation)
    return right / sum(len(labels) for _, labels in validation)


def test_the_fragile_layer_comes_first(trained, sensitivity):
    model, calibration, validation = trained
    plainly = accuracy(quantize_static(model, calibration, RECIPE), validation)
    assert sensitivity.floats.top1 == pytest.approx(accuracy(model, validation))
    assert sensitivity.quantized.top1 == pytest.approx(plainly)
    assert sensitivity.floats.top1 - plainly > 0.03
    assert [layer.layer for layer in sensitivity.layers] == ["0", "2", "4", "7"]
    assert sensitivity.order[0] == "2"
    spared = {layer.layer: layer.spared for layer in sensitivity.layers}
    alone = {layer.layer: layer.alone for layer in sensitivity.layers}
    assert spared["2"].top1 > sensitivity.floats.top1 - 0.01
    assert spared["2"].sqnr_db > 25
    assert all(spared[other].sqnr_db < 10 for other in "047")
    assert alone["2"].sqnr_db < 10
    assert all(alone[other].sqnr_db > 25 for other in "047")
    assert sensitivity.floats.sqnr_db is None  # exact


def test_shares_of_layers_are_of_one_image_and_sum_to_one(sensitivity):
    macs = {"0": 100 * 12 * 27, "2": 64 * 12 * 108, "4": 9 * 12 * 108, "7": 108 * 8}
    weights = {"0": 12 * 27, "2": 12 * 108, "4": 12 * 108, "7": 108 * 8}
    for layer in sensitivity.layers:
        assert layer.macs == pytest.approx(macs[layer.layer] / sum(macs.values()))
        assert layer.weights == pytest.approx(weights[layer.layer] / sum(weights.values()))


def test_a_record_of_sensitivity_is_read_as_it_was_written(sensitivity, tmp_path):
    sensitivity.write(tmp_path / "sensitivity.json")
    assert Sensitivity.read(tmp_path / "sensitivity.json") == sensitivity
    content = json.loads((tmp_path / "sensitivity.json").read_text())
    assert content["axes"]["observer"] == "minmax"
    assert content["samples"] == 600


@pytest.mark.parametrize("axes", [{}, {"correction": "bias", "rounding": "adaround"}])
def test_the_fewest_layers_in_float_meet_the_limit(axes, trained, sensitivity, tmp_path):
    model, calibration, validation = trained
    recipe = Recipe("ptq", "minmax", **axes)
    found = spare_layers(model, calibration, recipe, sensitivity.order, validation, 0.01, "run")
    assert found.spared == ("2",)
    curve = {candidate.in_float: candidate.setting.top1 for candidate in found.curve}
    assert {0, 1, 4} <= set(curve)
    assert curve[0] < found.floats.top1 - 0.03
    assert curve[1] >= found.floats.top1 - 0.01
    shipped = quantize_static(model, calibration, recipe, found.spared)
    assert accuracy(shipped, validation) == pytest.approx(curve[1])
    assert spare_layers(model, calibration, recipe, sensitivity.order, validation, 0.01, "run") == found
    found.write(tmp_path / "mixed.json")
    assert MixedPrecision.read(tmp_path / "mixed.json") == found


@pytest.mark.parametrize(("limit", "count"), [(1.0, 0), (-1.0, 4)])
def test_no_layer_or_all_stay_in_float_at_the_ends(limit, count, trained, sensitivity):
    model, calibration, validation = trained
    found = spare_layers(model, calibration, RECIPE, sensitivity.order, validation, limit, "run")
    assert len(found.spared) == count
    assert not math.isnan(found.curve[-1].setting.loss)


@pytest.mark.parametrize("most", range(7))
def test_bisection_finds_the_least_that_is_good_and_asks_for_none_twice(most):
    for least in range(most + 1):
        asked = []

        def good(number, least=least, asked=asked):
            asked.append(number)
            return number >= least

        assert least_good(most, good) == least
        assert len(asked) == len(set(asked)) <= 4
        assert most not in asked
        assert asked[:1] == ([0] if most else [])


def test_a_layer_that_is_none_is_refused_by_name(trained):
    model, calibration, _ = trained
    with pytest.raises(WinnowError, match=r"'layer.2' is no layer that could be quantized; it has 0, 2, 4, 7"):
        quantize_static(model, calibration, RECIPE, spared=["layer.2"])
