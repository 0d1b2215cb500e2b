"""What recipes compute: levels, ranges, sums that fit, corrections. What files make of them is in test_recipe_files."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from samples import Network
from winnow.capture.exported import captured
from winnow.deploy.overflow import LARGEST_SUM, largest_pairs
from winnow.quantize.calibration import Calibration
from winnow.quantize.equalization import equalized
from winnow.quantize.levels import Levels
from winnow.quantize.observers import OBSERVERS
from winnow.quantize.ranges import Scale, WeightQuantizer
from winnow.quantize.static import quantize_static
from winnow.quantize.weights import FloatWeights, nearest, weight_scales
from winnow.study.recipe import Recipe

IMAGES = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(0))
OTHERS = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def seeded(build, seed=0):
    torch.manual_seed(seed)
    return build().eval()


def plain():
    layers = (nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, 2), nn.ReLU())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))


def noise(model, **axes):
    """Mean squared error of the logits on images that were not calibrated on."""
    quantized = quantize_static(model, IMAGES.split(16), Recipe("ptq", "minmax", **axes))
    with torch.no_grad():
        return float((quantized(OTHERS) - model(OTHERS)).square().mean())


@pytest.mark.parametrize(("bits", "largest"), [(8, 127), (6, 31), (4, 7), (2, 1)])
def test_weights_of_fewer_bits_are_fewer_levels_of_int8(bits, largest):
    quantized = quantize_static(seeded(plain), [IMAGES], Recipe("ptq", weight_bits=bits))
    codes = {name: value for name, value in quantized.named_buffers() if value.dtype == torch.int8}
    assert len(codes) == 3
    for value in codes.values():
        assert int(value.abs().amax()) == largest


def test_fewer_levels_are_more_noise():
    model = seeded(plain)
    weights = [noise(model, weight_bits=bits) for bits in (8, 6, 4, 3)]
    activations = [noise(model, activation_bits=bits) for bits in (8, 6, 4)]
    assert weights == sorted(weights)
    assert activations == sorted(activations)


def test_one_scale_for_a_layer_is_the_largest_of_its_channels():
    weight = torch.tensor([[1.27, -0.1], [-2.54, 0.0]])
    torch.testing.assert_close(weight_scales(weight, levels=Levels(per_tensor=True)), torch.tensor([0.02, 0.02]))
    model = seeded(plain)
    scales = dict(quantize_static(model, [IMAGES], Recipe("ptq", weights="per_tensor")).named_buffers())
    assert len(scales["0.weight_scale"].unique()) == 1
    uneven_channels = seeded(lambda: uneven(nn.ReLU))
    assert noise(uneven_channels) < 0.7 * noise(uneven_channels, weights="per_tensor")


# ---- ranges


def seen(kind, values, levels=None):
    observer = OBSERVERS[kind](levels or Levels())
    for start in range(5):
        observer.see(values[start::5][None])  # images of the same range
    return observer.scale()


@pytest.mark.parametrize("kind", OBSERVERS)
def test_a_range_has_zero_and_as_many_levels_as_there_are_bits(kind):
    values = torch.linspace(-1, 3, 4001)
    for bits in (8, 4):
        scale = seen(kind, values, Levels(activation_bits=bits))
        largest = 2**bits - 1
        assert scale.scale * (largest - scale.zero_point) == pytest.approx(3, rel=0.1)
        assert scale.scale * scale.zero_point == pytest.approx(1, rel=0.1, abs=scale.scale)
        assert 0 < scale.zero_point < largest
    positive = seen(kind, torch.linspace(2, 3, 1001))
    assert (positive.zero_point, positive.scale) == (0, pytest.approx(3 / 255, rel=0.03))


@pytest.mark.parametrize("kind", OBSERVERS)
def test_a_value_that_is_always_zero_has_a_range(kind):
    scale = seen(kind, torch.zeros(100))
    assert scale.scale > 0
    assert scale.zero_point == 0


def test_a_percentile_leaves_out_the_rarest_values_of_each_side():
    values = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    values[:2], values[2:4] = 50.0, -80.0
    scale = seen("percentile", values)
    low, high = -scale.scale * scale.zero_point, scale.scale * (255 - scale.zero_point)
    ordered = values.sort().values
    assert low == pytest.approx(float(ordered[10]), abs=0.15)
    assert high == pytest.approx(float(ordered[-10]), abs=0.15)
    assert seen("minmax", values).scale == pytest.approx(130 / 255)


def test_entropy_leaves_out_a_tail_that_says_nothing():
    """Of a bell with a far outlier the range is that of the bell; of equally frequent values it is all of them."""
    values = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    values[0] = 40.0
    high = lambda scale: scale.scale * (255 - scale.zero_point)
    assert high(seen("entropy", values)) < 8
    assert high(seen("entropy", torch.rand(50_000) * 3)) == pytest.approx(3, rel=0.02)


def test_the_mean_of_extremes_is_that_of_most_images_though_a_few_are_many_times_as_large():
    """As after a network that answers some images with far larger values: these are clipped, and all others kept."""
    images = torch.rand(100, 3, 4, 4, generator=torch.Generator().manual_seed(0)) - 0.25
    images[::50] *= 40
    levels, found = Levels(), {}
    for kind in ("mean", "minmax", "histogram"):
        observer = OBSERVERS[kind](levels)
        for batch in images.split(30):
            observer.see(batch)
        scale = observer.scale()
        found[kind] = float((scale.rounded(images[1], levels) - images[1]).abs().mean())
        if kind == "mean":
            assert scale.scale * (255 - scale.zero_point) == pytest.approx(0.75 * (0.98 + 0.02 * 40), rel=0.06)
    assert found["mean"] < 0.1 * min(found["minmax"], found["histogram"])


def test_an_observer_sees_the_same_whatever_the_batches_and_their_order():
    values = torch.randn(8000, generator=torch.Generator().manual_seed(0)).exp()
    for kind in ("percentile", "entropy"):
        one = OBSERVERS[kind](Levels())
        for part in reversed(values.split(700)):
            one.see(part)
        assert one.scale() == seen(kind, values)


# ---- sums that fit 16 bits


def test_the_largest_pair_is_of_one_sign_and_one_channel():
    weights = np.array([[100, -100, 20, 3], [-100, -60, 90, 0], [127, -128, 1, 0], [5, 0, 0, 0]], np.int8)
    assert largest_pairs(weights).tolist() == [120, 160, 128, 5]
    assert largest_pairs(np.array([[[7]], [[-9]]], np.int8)).tolist() == [7, 9]  # one weight each: no pair


@pytest.mark.parametrize("away", [0.5, 1.0])
def test_safe_scales_are_raised_only_where_two_weights_are_large(away):
    levels = Levels(safe=True, away=away)
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(200, 30, generator=random)
    weight[:20, 1:] = -0.01 * weight[:20, 1:].abs() * weight[:20, :1].sign()  # one large weight: nothing to fear
    scales = weight_scales(weight, levels=levels)
    torch.testing.assert_close(scales[:20], weight_scales(weight)[:20], atol=0, rtol=0.02 * (away - 0.5))
    exact = weight / scales.view(-1, 1)
    for codes in (exact.round(), exact.floor(), exact.ceil(), exact.sign() * exact.abs().ceil()):
        if away == 0.5 and not torch.equal(codes, exact.round()):
            continue
        pairs = largest_pairs(codes.numpy().astype(np.int64))
        assert 255 * pairs.max() <= LARGEST_SUM
    assert 255 * largest_pairs((weight / weight_scales(weight).view(-1, 1)).round().numpy()).max() > LARGEST_SUM
    assert float((scales / weight_scales(weight)).amax()) <= 2.04  # never coarser than 7 bits


def test_fewer_levels_are_safe_by_themselves():
    weight = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    for levels in (Levels(weight_bits=7, safe=True), Levels(activation_bits=7, safe=True)):
        unsafe = Levels(levels.weight_bits, levels.activation_bits)
        assert torch.equal(weight_scales(weight, levels=levels), weight_scales(weight, levels=unsafe))


# ---- training


def test_one_scale_in_training_is_that_of_the_folded_weights():
    """What rounds in training, times the norm's factor, is what the folded weights round to."""
    random = torch.Generator().manual_seed(0)
    weight, gain = torch.randn(8, 3, 3, 3, generator=random), torch.randn(8, generator=random)
    variance = torch.rand(8, generator=random) + 0.1
    factor = (gain * (variance + 1e-5).rsqrt()).view(-1, 1, 1, 1)
    for levels in (Levels(per_tensor=True), Levels(4), Levels(safe=True), Levels(3, per_tensor=True, safe=True)):
        trained = WeightQuantizer(levels, 1e-5)(weight, gain, variance) * factor
        shipped = nearest(FloatWeights("w", weight * factor, None), 1.0, levels).float_weight
        torch.testing.assert_close(trained, shipped, atol=1e-5, rtol=1e-5)


# ---- equalization


def uneven(activation, depthwise=False):
    """Channels whose scales differ by four orders of magnitude, which the next layer makes up for."""
    inner = nn.Conv2d(16, 16, 3, padding=1, groups=16) if depthwise else nn.Conv2d(16, 16, 1)
    model = nn.Sequential(
        *(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), activation(), inner, activation(), nn.AvgPool2d(2)),
        *(nn.Conv2d(16, 8, 1), activation(), nn.Flatten(), nn.Linear(200, 5)),
    )
    with torch.no_grad():
        factors = torch.logspace(-2, 2, 16)
        for _ in range(10):
            model.train()(IMAGES)
        model[1].weight *= factors
        model[1].bias *= factors
        if depthwise:
            inner.weight /= factors.view(-1, 1, 1, 1)
        else:
            inner.weight /= factors.view(1, -1, 1, 1)
    return model.eval()


@pytest.mark.parametrize("depthwise", [False, True])
def test_equalization_keeps_the_float_network_and_makes_it_fit_for_int8(depthwise):
    model = seeded(lambda: uneven(nn.ReLU, depthwise))
    graph_module = captured(model, IMAGES)
    alike = equalized(graph_module, [IMAGES])
    with torch.no_grad():
        torch.testing.assert_close(alike(OTHERS), model(OTHERS), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(graph_module(OTHERS), model(OTHERS), atol=1e-5, rtol=1e-4)  # it is a copy
    for weights in ("per_channel", "per_tensor"):
        before, after = noise(model, weights=weights), noise(model, weights=weights, correction="equalization")
        assert after < before / 10


def test_neighbours_share_the_range_of_each_channel():
    model = seeded(lambda: uneven(nn.ReLU))
    alike = dict(equalized(captured(model, IMAGES), [IMAGES]).named_parameters())
    for first, second, repeats in (("0", "3", 1), ("3", "6", 1), ("6", "9", 25)):
        before = alike[f"{first}.weight"].abs().flatten(1).amax(1)
        behind = alike[f"{second}.weight"].flatten(2).abs() if second != "9" else alike["9.weight"].abs().unsqueeze(2)
        behind = behind.amax((0, 2)).view(-1, repeats).amax(1)
        torch.testing.assert_close(before, behind, atol=0, rtol=0.02)


def test_a_channel_that_is_clipped_keeps_its_scale():
    model = seeded(lambda: uneven(nn.ReLU6))
    with torch.no_grad():
        alike = equalized(captured(model, IMAGES), [IMAGES])
        torch.testing.assert_close(alike(IMAGES), model(IMAGES), atol=1e-5, rtol=1e-4)
        clipped = (model[:2](IMAGES).amax((0, 2, 3)) > 6).nonzero().flatten().tolist()
    assert 0 < len(clipped) < 16
    folded = model[0].weight * (model[1].weight / (model[1].running_var + 1e-5).sqrt()).view(-1, 1, 1, 1)
    found = dict(alike.named_parameters())["0.weight"]
    same = [channel for channel in range(16) if torch.allclose(found[channel], folded[channel], rtol=1e-4, atol=0)]
    assert same == clipped


def test_what_others_read_or_several_layers_share_is_not_equalized():
    def forward(m, x):
        x = functional.relu(m.a(x))
        y = functional.relu(m.b(functional.relu(m.b(x))))  # one weight, two layers
        return m.c(functional.silu(m.d(x + y))).mean((2, 3))

    parts = {"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(4, 4, 3, padding=1), "c": nn.Conv2d(4, 2, 1)}
    model = seeded(lambda: Network(forward, d=nn.Conv2d(4, 4, 1), **parts))
    found = dict(equalized(captured(model, IMAGES), [IMAGES]).named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.equal(found[name], parameter), name


# ---- bias correction and AdaRound


def test_bias_correction_takes_the_mean_error_of_every_channel():
    model = seeded(plain, 3)
    axes = {"observer": "minmax", "weight_bits": 4}
    plainly, corrected = (
        quantize_static(model, IMAGES.split(16), Recipe("ptq", correction=correction, **axes))
        for correction in ("none", "bias")
    )
    with torch.no_grad():
        shift, left = ((network(IMAGES) - model(IMAGES)).mean(0).abs() for network in (plainly, corrected))
        unseen = [(network(OTHERS) - model(OTHERS)).mean(0).abs().amax() for network in (plainly, corrected)]
    assert shift.amax() > 0.005
    assert left.amax() < 0.02 * shift.amax()
    assert unseen[1] < 0.3 * unseen[0]


class Grouped(nn.Sequential):
    """Every kind of layer that AdaRound unfolds: groups, strides, dilation, padding, depthwise, one and three axes, and
    a linear that reads more values than half of the images."""

    def __init__(self):
        super().__init__(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3, stride=2, dilation=2, padding=(2, 1), groups=2), nn.ReLU(), nn.Flatten(2)),
            *(nn.Conv1d(16, 8, 3, padding=1), nn.ReLU(), nn.Unflatten(1, (2, 2, 2)), nn.Flatten(3)),
            *(nn.Flatten(), nn.Linear(160, 6)),
        )


@pytest.mark.parametrize("build", [plain, Grouped])
def test_adaround_is_nearer_to_the_float_layers_than_the_nearest_levels(build):
    model = seeded(build)
    calibration = {
        rounding: Calibration(model, IMAGES.split(16), Recipe("ptq", "minmax", weight_bits=4, rounding=rounding))
        for rounding in ("nearest", "adaround")
    }
    networks = {rounding: found.quantized() for rounding, found in calibration.items()}
    again = calibration["adaround"].quantized()
    with torch.no_grad():
        errors = {name: float((net(OTHERS) - model(OTHERS)).square().mean()) for name, net in networks.items()}
        assert torch.equal(again(OTHERS), networks["adaround"](OTHERS))
    assert errors["adaround"] < 0.6 * errors["nearest"]
    nearest_codes, codes = (dict(network.named_buffers()) for network in networks.values())
    for name, value in codes.items():
        if value.dtype == torch.int8:
            assert int((value.int() - nearest_codes[name].int()).abs().amax()) <= 1
            assert int(value.abs().amax()) <= 7


def test_a_scale_rounds_to_its_levels_and_no_further():
    levels = Levels(activation_bits=4)
    scale = Scale.of(-1.0, 2.0, levels)
    assert (scale.scale, scale.zero_point) == (pytest.approx(0.2), 5)
    values = scale.rounded(torch.linspace(-9, 9, 1000), levels)
    assert len(values.unique()) == 16
    assert (float(values.amin()), float(values.amax())) == (pytest.approx(-1), pytest.approx(2))
