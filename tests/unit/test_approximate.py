"""Networks that multiply with circuits: sums to the last unit, correction, export, and training through them."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx.numpy_helper import to_array
from torch import nn
from torch.nn import functional

from samples import Network, colored_squares, model_settings, train_in, training_settings
from winnow.approximate.assignment import assign, noise, saving_steps
from winnow.approximate.aware import ApproximateTraining
from winnow.approximate.circuit import OPERANDS, Circuit, of_terms
from winnow.approximate.circuit_error import circuit_error
from winnow.approximate.circuits import circuit
from winnow.approximate.correction import correct
from winnow.approximate.export import export_approximate
from winnow.approximate.geometry import Geometry
from winnow.approximate.layers import IntegerLayer, integer_layers
from winnow.approximate.multipliers import Multipliers, multiplication
from winnow.approximate.network import approximate, layer_by_layer
from winnow.approximate.operands import network_pairs, operands
from winnow.approximate.products import ApproximateLayer, approximate_layer
from winnow.approximate.static import multiplied
from winnow.config.settings import QatSettings
from winnow.deploy.export import export_checked
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.operations import count_operations
from winnow.errors import Interrupted, WinnowError
from winnow.measure.layer_noise import layer_sqnr
from winnow.measure.multiplied import multiplication_of
from winnow.models.build import build_model
from winnow.prune.masks import Masks
from winnow.quantize.images import calibration_batches, validation_batches
from winnow.quantize.sensitivity import Scorer
from winnow.quantize.static import quantize_static
from winnow.study.assignment import Assignment
from winnow.study.multiplier_cost import exact_cost
from winnow.study.multipliers import OwnMultiplier, described, multiplier
from winnow.study.recipe import Recipe

MINMAX = Recipe("ptq", observer="minmax")
LINEAR = Geometry()
LAYERS = {  # shape of the input, shape of the weights, geometry
    "convolution": ((2, 3, 6, 5), (4, 3, 3, 3), Geometry((1, 1), (1, 1), (1, 1))),
    "stride": ((2, 3, 7, 6), (4, 3, 3, 2), Geometry((2, 3), (0, 1), (1, 1))),
    "dilation": ((1, 2, 8, 7), (3, 2, 3, 3), Geometry((2, 1), (3, 2), (2, 3))),
    "groups": ((2, 4, 5, 5), (6, 2, 3, 3), Geometry((1, 1), (1, 1), (1, 1), groups=2)),
    "depthwise": ((2, 5, 6, 6), (10, 1, 3, 3), Geometry((2, 2), (1, 1), (1, 1), groups=5)),
    "pointwise": ((2, 7, 3, 3), (4, 7, 1, 1), Geometry((1, 1), (0, 0), (1, 1))),
    "one dimension": ((2, 3, 9), (4, 3, 4), Geometry((2,), (2,), (1,))),
    "three dimensions": ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), Geometry((1, 2, 1), (1, 0, 1), (1, 1, 2))),
    "linear": ((5, 11), (4, 11), LINEAR),
}
CIRCUITS = {
    name: circuit(multiplier(name)) for name in ("exact", "bam-2-0-5", "bam-2-2-0", "drum-4", "roba", "mitchell")
}
CIRCUITS["any table"] = Circuit(np.random.default_rng(1).integers(-(2**15), 2**15, (256, 256)), None)


def source(weight, zero, geometry, bias=0.0, step=1.0) -> IntegerLayer:
    ones = torch.ones(len(weight), dtype=torch.float64)
    return IntegerLayer("net.layer", "net.layer.weight", zero, weight, ones * bias, ones * step, geometry)


def random_layer(name, seed=0):
    random = np.random.default_rng(seed)
    shape, kernel, geometry = LAYERS[name]
    codes = torch.from_numpy(random.integers(0, 256, shape, np.uint8))
    weight = torch.from_numpy(random.integers(-127, 128, kernel).astype(np.int8))
    return codes, weight, int(random.integers(0, 256)), geometry


def brute_force(table, codes, weight, zero, geometry):
    """Add up products, one place and one output after the other, straight from the table."""
    codes, weight = codes.numpy().astype(int), weight.numpy().astype(int)
    sides = [(0, 0), (0, 0), *((amount, amount) for amount in geometry.padding)]
    codes = np.pad(codes, sides[: codes.ndim], constant_values=zero)
    out, inputs, *kernel = weight.shape
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, geometry.dilation, strict=True)]
    spatial = zip(codes.shape[2:], reach, geometry.stride, strict=True)
    places = [(length - size) // step + 1 for length, size, step in spatial]
    sums = np.zeros((len(codes), out, *places), int)
    for place in np.ndindex(*sums.shape):
        image, channel, *at = place
        first = channel // (out // geometry.groups) * inputs
        for tap in np.ndindex(inputs, *kernel):
            where = (p * s + t * d for p, s, t, d in zip(at, geometry.stride, tap[1:], geometry.dilation, strict=True))
            column = weight[(channel, *tap)] + 128
            sums[place] += table[codes[(image, first + tap[0], *where)], column] - table[zero, column]
    return sums


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", CIRCUITS)
def test_sums_are_those_of_a_loop_over_the_table(name, layer):
    codes, weight, zero, geometry = random_layer(layer)
    found = approximate_layer(source(weight, zero, geometry), CIRCUITS[name]).sums(codes)
    assert found.dtype == torch.float64
    assert np.array_equal(found.numpy(), brute_force(CIRCUITS[name].table, codes, weight, zero, geometry))


@pytest.mark.parametrize("layer", LAYERS)
def test_without_dropped_columns_a_broken_array_convolves_shorter_operands(layer):
    codes, weight, zero, geometry = random_layer(layer)
    found = approximate_layer(source(weight, zero, geometry), circuit(multiplier("bam-2-1-0"))).sums(codes)
    masked = source(weight & -2, zero & -4, geometry)
    assert torch.equal(found, approximate_layer(masked, CIRCUITS["exact"]).sums(codes & 252))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", ["exact", "bam-2-0-5", "mitchell", "any table"])
def test_sums_that_float32_does_not_hold_are_exact_all_the_same(name, groups):
    """1,500 products of up to 255 x 127, all of one sign, and one that decides the last unit."""
    geometry = replace(Geometry((1, 1), (0, 0), (1, 1)), groups=groups)
    codes = torch.full((1, 1500 * groups, 1, 2), 255, dtype=torch.uint8)
    codes[..., 1] = torch.arange(1500 * groups).view(1, -1, 1) % 256
    weight = torch.full((groups, 1500, 1, 1), 127, dtype=torch.int8)
    weight[:, -1] = 1
    layer = approximate_layer(source(weight, 0, geometry), CIRCUITS[name])
    expected = brute_force(CIRCUITS[name].table, codes, weight, 0, geometry)
    assert np.abs(expected).max() > 2**24
    assert np.array_equal(layer.sums(codes).numpy(), expected)
    assert layer.arithmetic == (torch.float32 if CIRCUITS[name].terms else None)


def test_a_single_product_beyond_float32_is_multiplied_in_float64():
    big = of_terms([OPERANDS * 3001], [OPERANDS * 2999 + 1])
    codes, weight, zero, geometry = random_layer("convolution")
    layer = approximate_layer(source(weight, zero, geometry), big)
    assert layer.arithmetic == torch.float64
    assert np.array_equal(layer.sums(codes).numpy(), brute_force(big.table, codes, weight, zero, geometry))


def test_many_images_are_looked_up_in_portions(monkeypatch):
    codes, weight, zero, geometry = random_layer("groups")
    layer = approximate_layer(source(weight, zero, geometry), CIRCUITS["mitchell"])
    whole = layer.sums(codes)
    monkeypatch.setattr("winnow.approximate.products._LOOKED_UP", 1)
    monkeypatch.setattr("winnow.approximate.products._ROWS", 1)
    assert torch.equal(layer.sums(codes), whole)


def test_sums_are_exact_under_autocast():
    codes, weight, zero, geometry = random_layer("convolution")
    for name in ("exact", "bam-2-0-5", "mitchell"):
        layer = approximate_layer(source(weight, zero, geometry), CIRCUITS[name])
        expected = layer.sums(codes)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer.sums(codes), expected)


def test_geometry_is_read_from_every_spelling_of_a_layer():
    def traced(module, shape):
        graph = torch.export.export(module, (torch.zeros(shape),)).module().graph
        return next(
            Geometry.of(node) for node in graph.nodes if "conv" in str(node.target) or "linear" in str(node.target)
        )

    assert traced(nn.Linear(3, 2), (2, 3)) == Geometry()
    assert traced(nn.Conv2d(3, 2, 3), (2, 3, 8, 8)) == Geometry((1, 1), (0, 0), (1, 1), 1)
    assert traced(nn.Conv2d(4, 2, 3, 2, 1, 2, 2), (2, 4, 8, 8)) == Geometry((2, 2), (1, 1), (2, 2), 2)
    assert traced(nn.Conv1d(4, 4, 3, padding=2), (2, 4, 8)) == Geometry((1,), (2,), (1,), 1)
    assert traced(nn.Conv3d(4, 4, 3, (1, 2, 3)), (2, 4, 8, 8, 8)) == Geometry((1, 2, 3), (0, 0, 0), (1, 1, 1), 1)


@pytest.fixture(scope="module")
def data():
    return colored_squares(80, 10)


def settled(model, data):
    """A network whose batch norms have seen the data, with gains of both signs."""
    torch.manual_seed(0)
    images = torch.cat(list(calibration_batches(data, 32)))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
            nn.init.normal_(module.weight, 1, 0.6)
            nn.init.normal_(module.bias, 0, 0.3)
    with torch.no_grad():
        for _ in range(6):
            model.train()(images)
    return model.eval()


@pytest.fixture(scope="module")
def resnet(data):
    return settled(build_model(model_settings("resnet20"), data.task, seed=1), data)


@pytest.fixture(scope="module")
def batches(data):
    return [batch[:16] for batch in calibration_batches(data, 64)] * 2


@pytest.fixture(scope="module")
def int8(resnet, data):
    return quantize_static(resnet, calibration_batches(data, 64), Recipe("ptq"))


def everywhere(name):
    made = circuit(multiplier(name))
    return lambda _: made


@torch.no_grad()
def logits(model, images):
    return model(images)


def distance(found, reference):
    return float((found - reference).abs().mean() / reference.std())


def test_with_exact_multipliers_it_is_the_int8_network(int8, batches):
    expected = logits(int8, batches[0])
    network = approximate(int8, everywhere("exact"))
    assert sum(isinstance(module, ApproximateLayer) for module in network.modules()) == 20
    # the int8 module adds up in float32 what is whole here: now and then a value is rounded to the neighbour
    assert distance(logits(network, batches[0]), expected) < 0.01
    assert torch.equal(logits(int8, batches[0]), expected)


def test_every_layer_returns_what_the_int8_layer_returns(int8, batches):
    """From the same codes, so that no rounding carries on."""
    operators = {layer.name: (node, layer) for node, _, layer in integer_layers(int8)}
    network = approximate(int8, everywhere("exact"))
    for layer, (codes, *_) in layer_by_layer(network, batches):
        node, integers = operators[layer.source.name]
        step = integers.geometry.by_output(integers.step).float()
        scale = node.args[0].args[1]
        weight = integers.weight * (integers.step / scale).view(-1, *[1] * (integers.weight.dim() - 1))
        values = (codes.float() - integers.zero) * scale
        expected = integers.geometry.contract(values, weight.float())
        expected += integers.geometry.by_output(integers.bias * integers.step).float()
        torch.testing.assert_close(layer(codes), expected, rtol=1e-4, atol=float(step.max()))


def test_circuits_are_chosen_by_the_names_of_layers(int8, batches):
    chosen = [layer.name for *_, layer in integer_layers(int8)][3]
    network = approximate(int8, lambda name: CIRCUITS["drum-4" if name == chosen else "exact"])
    terms = {
        layer.source.name: bool((layer.functions[:, 0].diff() != 1).any())
        for layer in network.modules()
        if isinstance(layer, ApproximateLayer)
    }
    assert {name for name, rounded in terms.items() if rounded} == {chosen}
    assert distance(logits(network, batches[0]), logits(int8, batches[0])) > 0.01


def test_correction_takes_the_mean_error_of_every_channel_out(int8, batches):
    expected = torch.cat([logits(int8, images) for images in batches])
    network = approximate(int8, everywhere("bam-2-2-0"))
    before = torch.cat([logits(network, images) for images in batches])
    correct(network, batches)
    exact = CIRCUITS["exact"]
    for layer, codes in layer_by_layer(network, batches):
        difference = approximate_layer(layer.source, exact).sums(torch.cat(codes)) - layer.sums(torch.cat(codes))
        lacking = difference.movedim(1, -1).flatten(0, -2).mean(0)
        assert torch.equal(layer.bias, layer.source.bias + lacking.round())
        assert lacking.abs().max() > 100
    after = torch.cat([logits(network, images) for images in batches])
    assert distance(after, expected) < 0.5 * distance(before, expected)


def test_correction_changes_nothing_where_nothing_is_wrong(int8, batches):
    network = approximate(int8, everywhere("exact"))
    expected = logits(network, batches[0])
    correct(network, batches)
    assert torch.equal(logits(network, batches[0]), expected)


def test_the_exported_file_computes_the_same_numbers(int8, resnet, data, batches, tmp_path):
    network = approximate(int8, everywhere("bam-2-0-5"))
    correct(network, batches)
    whole = Multipliers(lambda _: multiplier("bam-2-0-5"))
    export_approximate(network, data, tmp_path / "model.onnx", run="net", multipliers=whole)
    found = load_onnxruntime(tmp_path / "model.onnx", threads=1)(batches[0].contiguous().numpy())
    # the sums are the same; residual additions, in float, round to the neighbour now and then, as in every file
    assert distance(torch.from_numpy(found), logits(network, batches[0])) < 0.02
    export_checked(resnet, data, tmp_path / "fp32.onnx", run="net", integer=False)
    layers = [operation.layer for operation in count_operations(tmp_path / "model.onnx", data.task.shape)]
    assert layers == [operation.layer for operation in count_operations(tmp_path / "fp32.onnx", data.task.shape)]
    noise_of = layer_sqnr(tmp_path / "fp32.onnx", tmp_path / "model.onnx", batches[0].contiguous().numpy())
    assert [layer.layer for layer in noise_of] == layers
    assert min(layer.sqnr_db for layer in noise_of) > 0  # in the unit of the layer, not in that of its sums
    model = onnx.load(tmp_path / "model.onnx")
    assert {node.op_type for node in model.graph.node} >= {"Gather", "Conv"}
    weights = {constant.name: to_array(constant) for constant in model.graph.initializer}
    assert all(np.array_equal(weights[f"{name}.weight"].round(), weights[f"{name}.weight"]) for name in layers)
    told = multiplication_of(tmp_path / "model.onnx")
    assert [layer.layer for layer in told.layers] == layers
    assert told.cost.power == pytest.approx(multiplier("bam-2-0-5").cost.power)
    assert multiplication_of(tmp_path / "fp32.onnx") is None
    counted = operands(network, list(calibration_batches(data, min(256, len(data.train_index)))))
    expected = circuit_error(CIRCUITS["bam-2-0-5"], network_pairs(counted))
    assert told.error.worst == expected.worst
    for name in ("mean", "mean_relative", "bias"):
        assert getattr(told.error, name) == pytest.approx(getattr(expected, name))
    whole_table = circuit_error(CIRCUITS["bam-2-0-5"])
    assert told.error.mean < whole_table.mean / 2  # most activations and weights are small


def three_layers(m, x):
    return m.c(functional.relu(m.b(functional.relu(m.a(x)))).mean((2, 3)))


@pytest.mark.parametrize("name", ["exact", "bam-2-2-0", "bam-0-0-4", "drum-3", "roba"])
def test_an_exported_network_without_residuals_is_equal_in_every_integer(name, data, tmp_path):
    """No addition in float: but for pixels that lie between two integers, file and memory return the same."""
    layers = {"a": nn.Conv2d(3, 8, 3, padding=1), "b": nn.Conv2d(8, 8, 3, 2, dilation=2, groups=4)}
    model = settled(Network(three_layers, **layers, c=nn.Linear(8, 10)), data)
    images = torch.cat(list(calibration_batches(data, 32)))
    network = approximate(quantize_static(model, [images], MINMAX), everywhere(name))
    export_approximate(network, data, tmp_path / "model.onnx", run="net", multipliers=None)
    found = load_onnxruntime(tmp_path / "model.onnx", threads=1)(images.contiguous().numpy())
    expected = logits(network, images).numpy()
    assert np.isclose(found, expected, rtol=1e-5, atol=1e-6).mean() > 0.95
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.std())


def test_what_onnx_cannot_compute_is_refused_in_a_line(int8, data, tmp_path):
    message = (
        r"^net: what the multiplier of features.0 returns is looked up in a table, .*; take exact, bam, drum or roba"
    )
    network = approximate(int8, everywhere("mitchell"))
    with pytest.raises(WinnowError, match=message):
        export_approximate(network, data, tmp_path / "model.onnx", run="net", multipliers=None)
    big = of_terms([OPERANDS * 3001], [OPERANDS * 2999])
    network = approximate(int8, lambda _: big)
    with pytest.raises(WinnowError, match="adds up to more than float32 holds"):
        export_approximate(network, data, tmp_path / "model.onnx", run="net", multipliers=None)
    assert not list(tmp_path.iterdir())


def shared(m, x):
    x = functional.relu(m.norm_a(m.shared(m.stem(x))))
    return m.head(functional.relu(m.norm_b(m.shared(x))).mean((2, 3)))


def tied(m, x):
    x = functional.gelu(m.a(x.flatten(1)))
    return m.b(x + functional.embedding(m.places, m.a.weight[:, :4]).sum(0))


def test_layers_that_share_weights_or_a_name_stay_apart(data, batches):
    convolution = nn.Conv2d(4, 4, 3, padding=1)
    model = Network(
        shared,
        stem=nn.Conv2d(3, 4, 3, padding=1),
        shared=convolution,
        norm_a=nn.BatchNorm2d(4),
        norm_b=nn.BatchNorm2d(4),
        head=nn.Linear(4, 10),
    )
    model = quantize_static(settled(model, data), batches, MINMAX)
    network = approximate(model, everywhere("exact"))
    names = [layer.source.name for layer in network.modules() if isinstance(layer, ApproximateLayer)]
    assert sorted(names) == ["head", "shared", "shared (use 2)", "stem"]
    assert distance(logits(network, batches[0]), logits(model, batches[0])) < 0.01


def test_weights_that_float_operators_read_too_stay_there(batches):
    model = Network(tied, a=nn.Linear(3 * 32 * 32, 4), b=nn.Linear(4, 10))
    model.register_buffer("places", torch.arange(4))
    model = quantize_static(model.eval(), batches, MINMAX)
    network = approximate(model, everywhere("exact"))
    assert distance(logits(network, batches[0]), logits(model, batches[0])) < 0.01
    assert distance(logits(approximate(model, everywhere("drum-3")), batches[0]), logits(model, batches[0])) > 0.01


def test_a_network_that_is_one_layer(batches):
    model = quantize_static(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3)).eval(), batches, MINMAX)
    network = approximate(model, everywhere("exact"))
    assert distance(logits(network, batches[0]), logits(model, batches[0])) < 1e-3


def test_operands_are_counted_by_channel():
    """Two channels, and a pointwise layer without padding: every weight meets every activation of its channel."""
    model = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AvgPool2d(2), nn.Conv2d(2, 3, 1, bias=False))
    images = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    network = approximate(quantize_static(model.eval(), [images], MINMAX), everywhere("exact"))
    found = operands(network, [images[:3], images[3:]])
    assert [(layer.layer, layer.macs) for layer in found] == [("0", 2 * 3 * 16), ("2", 3 * 2 * 4)]
    for layer, (module, codes) in zip(found, layer_by_layer(network, [images]), strict=True):
        pairs = np.zeros((256, 256))
        values, weight = codes[0].numpy(), module.source.weight.numpy().astype(int)
        for image, channel, y, x in np.ndindex(values.shape):
            for output in range(len(weight)):
                pairs[values[image, channel, y, x], weight[output, channel, 0, 0] + 128] += 1
        np.testing.assert_allclose(layer.pairs, pairs / pairs.sum())
    np.testing.assert_allclose(network_pairs(found), (96 * found[0].pairs + 24 * found[1].pairs) / 120)


@pytest.mark.parametrize("layer", [name for name in LAYERS if name not in ("one dimension", "three dimensions")])
def test_multiplications_are_counted_as_a_loop_counts_them(layer):
    codes, weight, _, geometry = random_layer(layer)
    kernel = tuple(weight.shape[2:])
    taps = geometry.patches(codes, kernel, 0)
    assert geometry.places(codes.shape, kernel) * len(codes) * geometry.groups == taps[..., 0].numel()


def test_the_error_that_a_network_sees_is_that_of_its_own_operands(int8, batches):
    """What a layer's sums are wrong by on average is its mean error times the number of products of a sum."""
    network = approximate(int8, everywhere("bam-2-2-0"))
    first = operands(network, batches[:1])[1]
    layer, codes = next(pair for pair in layer_by_layer(network, batches[:1]) if pair[0].source.name == first.layer)
    exact = approximate_layer(layer.source, CIRCUITS["exact"]).sums(codes[0])
    bias = circuit_error(CIRCUITS["bam-2-2-0"], first.pairs).bias
    zero = CIRCUITS["bam-2-2-0"].table - CIRCUITS["exact"].table
    weights = layer.source.weight.long().numpy() + 128
    shift = zero[layer.source.zero, weights].mean()
    taps = layer.source.weight[0].numel()
    # borders, where padding adds nothing, are the difference
    assert float((layer.sums(codes[0]) - exact).mean()) == pytest.approx(taps * (bias - shift), rel=0.2)


CHEAP = [multiplier(name) for name in ("bam-1-1-0", "bam-2-2-0", "bam-3-3-0")]


def test_power_is_saved_first_where_it_disturbs_least():
    known = {found.name: found for found in (multiplier("exact"), *CHEAP[:2])}
    noise = {
        "small": {"exact": 0.0, "bam-1-1-0": 0.01, "bam-2-2-0": 0.02},  # 29 or 53 saved
        "large": {"exact": 0.0, "bam-1-1-0": 0.01, "bam-2-2-0": 0.90},  # 292 or 529
    }
    steps = list(saving_steps(noise, {"small": 100, "large": 1000}, known))
    named = [tuple(step[layer] for layer in ("small", "large")) for step in steps]
    assert named == [
        ("exact", "exact"),
        ("exact", "bam-1-1-0"),
        ("bam-1-1-0", "bam-1-1-0"),
        ("bam-2-2-0", "bam-1-1-0"),
        ("bam-2-2-0", "bam-2-2-0"),
    ]


def test_a_step_that_disturbs_nothing_comes_first():
    known = {found.name: found for found in (multiplier("exact"), CHEAP[0])}
    noise = {"a": {"exact": 0.0, "bam-1-1-0": 1e-3}, "b": {"exact": 0.1, "bam-1-1-0": 0.05}}
    steps = [(step["a"], step["b"]) for step in saving_steps(noise, {"a": 10**6, "b": 1}, known)]
    assert steps == [("exact", "exact"), ("exact", "bam-1-1-0"), ("bam-1-1-0", "bam-1-1-0")]


def test_circuits_of_unknown_power_cannot_be_assigned():
    known = {name: multiplier(name) for name in ("exact", "drum-4")}
    with pytest.raises(WinnowError, match="drum-4: its power is not known"):
        list(saving_steps({"a": {"exact": 0.0}}, {"a": 1}, known))


@pytest.fixture(scope="module")
def bearing():
    """A small network, calibration and validation batches, and its int8 form; labels are what it answers in float."""
    data = colored_squares(120, 4)
    torch.manual_seed(3)  # its weights; most other networks bear every circuit
    model = small(data).eval()
    images = [batch.contiguous() for batch in calibration_batches(data, 48)]
    validation = [(batch, logits(model, batch).argmax(1)) for batch, _ in validation_batches(data)]
    return model, images, validation, quantize_static(model, images, MINMAX)


def assigned(bearing, limit, recipe=MINMAX, candidates=None):
    model, images, validation, module = bearing
    scorer = Scorer(model, validation)
    return assign(module, images, validation, scorer, candidates or CHEAP, recipe, limit, "run")


def test_the_cheapest_assignment_within_the_limit_is_found(bearing, tmp_path):
    model, images, validation, module = bearing
    found = assigned(bearing, 0.1)
    curve = {tried.step: tried for tried in found.curve}
    assert [layer.layer for layer in found.layers] == ["a", "b", "head"]
    assert sum(layer.macs for layer in found.layers) == pytest.approx(1)
    assert found.floats.top1 == 1
    assert curve[0].power == 1
    assert len(curve) <= 6  # of ten steps
    assert 0 < found.chosen < 9
    assert curve[found.chosen].setting.top1 >= 0.9 > curve[found.chosen + 1].setting.top1
    assert [tried.power for tried in found.curve] == sorted((tried.power for tried in found.curve), reverse=True)
    shipped = multiplied(module, images, MINMAX, Multipliers.assigned(found.by_layer))
    assert Scorer(model, validation).score(shipped) == curve[found.chosen].setting
    assert all((layer.error.worst == 0) == (layer.multiplier == "exact") for layer in found.layers)
    told = multiplication(shipped, images, Multipliers.assigned(found.by_layer))
    assert {layer.layer: layer.multiplier for layer in told.layers} == {
        layer.layer: layer.multiplier for layer in found.layers
    }
    assert told.cost.power == pytest.approx(found.cost.power) == pytest.approx(curve[found.chosen].power)
    found.write(tmp_path / "multipliers.json")
    assert Assignment.read(tmp_path / "multipliers.json") == found
    recipe = replace(MINMAX, multiplier="auto")
    read = Multipliers.by(recipe, tmp_path / "multipliers.json")
    assert read.multiplier("b") == found.by_layer["b"]
    with pytest.raises(WinnowError, match="layer c was given no multiplier, only a, b, head were"):
        read.multiplier("c")
    assert assigned(bearing, 0.1) == found


def test_the_ends_of_the_search_cost_two_networks(bearing):
    everything, nothing = assigned(bearing, 1.0), assigned(bearing, -0.1)
    assert {layer.multiplier for layer in everything.layers} == {"bam-3-3-0"}
    assert everything.cost.power == pytest.approx(0.296)
    assert len(everything.curve) == 2
    assert {layer.multiplier for layer in nothing.layers} == {"exact"}
    assert (nothing.cost.power, nothing.chosen, len(nothing.curve)) == (1.0, 0, 1)


def test_what_costs_more_than_exact_multipliers_of_fewer_bits_is_given_to_no_layer(bearing):
    few = replace(MINMAX, weight_bits=4, activation_bits=4)
    found = assigned(bearing, 1.0, few, CHEAP[:2])
    assert {layer.multiplier for layer in found.layers} == {"exact"}
    assert found.cost.power == pytest.approx(exact_cost(4, 4).power)
    own = described(OwnMultiplier("Half price.npy", 0.5, 0.6, "a guess"))
    assert own.name == "table-half-price"
    with pytest.raises(WinnowError, match="drum-4: its power is not known"):
        assigned(bearing, 1.0, candidates=[multiplier("drum-4")])


def test_what_a_circuit_does_to_the_logits_is_measured_in_one_layer_alone():
    data = colored_squares(80, 4)
    model, images = small(data), [batch.contiguous() for batch in calibration_batches(data, 48)]
    module = quantize_static(model, images, MINMAX)
    measured = noise(module, images, images, [multiplier("exact"), *CHEAP])
    left = noise(module, images, images, [multiplier("exact"), CHEAP[2]], corrected=False)
    assert left["b"]["bam-3-3-0"] > measured["b"]["bam-3-3-0"]
    assert sorted(measured) == ["a", "b", "head"]
    assert all(by_circuit["exact"] == 0 for by_circuit in measured.values())
    network = approximate(module, lambda name: circuit(multiplier("bam-3-3-0" if name == "b" else "exact")))
    correct(network, images)
    exact = approximate(module, everywhere("exact"))
    found, reference = (torch.cat([logits(one, batch) for batch in images]) for one in (network, exact))
    expected = float((found - reference).double().square().mean() / reference.double().var())
    assert measured["b"]["bam-3-3-0"] == pytest.approx(expected, rel=1e-6)


def qat_settings(**changes) -> QatSettings:
    values = {"freeze_observers_epoch": 3, "freeze_batchnorm_epoch": 3, "distill": None}
    return QatSettings(**values | {"training": training_settings(**changes)})


def small(data):
    def forward(m, x):
        x = functional.relu(m.norm(m.a(x)))
        return m.head(functional.max_pool2d(functional.relu(m.b(x) + x), 4).mean((2, 3)))

    layers = {
        "a": nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        "norm": nn.BatchNorm2d(8),
        "b": nn.Conv2d(8, 8, 3, 1, 1, groups=2),
        "head": nn.Linear(8, 4),
    }
    return settled(Network(forward, **layers), data)


@pytest.mark.parametrize("name", ["exact", "bam-2-0-5", "mitchell"])
def test_what_is_trained_is_what_is_converted(name, tmp_path):
    data = colored_squares(80, 4)
    model, images = small(data), torch.cat(list(calibration_batches(data, 32)))
    assert (model.norm.weight < 0).any()
    aware = ApproximateTraining(model, images, qat_settings(), Recipe("qat"), everywhere(name))
    keep = {"b.weight": torch.rand(8, 4, 3, 3, generator=torch.Generator().manual_seed(1)) > 0.5}
    aware = ApproximateTraining(model, images, qat_settings(), Recipe("qat"), everywhere(name), Masks(keep))
    before = {name: value.clone() for name, value in aware.float_model().state_dict().items()}
    train_in(tmp_path, aware.trainee, data, qat_settings().training)
    aware.check("net")
    trained = aware.float_model().state_dict()
    assert all(not torch.equal(before[name], trained[name]) for name in ("a.weight", "b.weight", "head.bias"))
    assert not trained["b.weight"][~keep["b.weight"]].any()
    network = aware.convert()
    assert distance(logits(aware.model, images), logits(network, images)) < 0.01
    pruned = next(
        layer for layer in network.modules() if isinstance(layer, ApproximateLayer) and layer.source.name == "b"
    )
    assert not pruned.source.weight[~keep["b.weight"]].any()


def test_gradients_are_those_of_an_exact_multiplier():
    data = colored_squares(80, 4)
    model, images = small(data), torch.cat(list(calibration_batches(data, 32)))
    gradients = []
    for name in ("exact", "drum-3"):
        aware = ApproximateTraining(model, images, qat_settings(), Recipe("qat"), everywhere(name))
        aware.trainee.set_mode(aware.model, True)
        stem = next(node for node in aware.model.graph.nodes if node.op == "call_module" and "multiply" in node.target)
        values = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).mul(4).round().requires_grad_()
        weight = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        layer = aware.model.get_submodule(stem.target)
        result = layer(values, weight, torch.ones(1), torch.full((1,), 100), None, weight)
        result.square().sum().backward()
        gradients.append((result.detach(), values.grad, weight.grad))
    (exact, *_), (rounded, values, weights) = gradients
    assert not torch.allclose(exact, rounded)
    values_in = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).mul(4).round().requires_grad_()
    weight_in = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    convolved = functional.conv2d(values_in, weight_in, None, 2, 1)
    expected = torch.autograd.grad(convolved, (values_in, weight_in), 2 * rounded)
    torch.testing.assert_close((values, weights), expected)


def test_a_killed_training_ends_in_the_same_network(tmp_path):
    data = colored_squares(80, 4)
    model, images = small(data), torch.cat(list(calibration_batches(data, 32)))

    def training():
        return ApproximateTraining(model, images, qat_settings(epochs=3), Recipe("qat"), everywhere("bam-2-2-0"))

    whole, first, second = training(), training(), training()
    train_in(tmp_path / "whole", whole.trainee, data, qat_settings(epochs=3).training)
    epochs = []

    def stop(epoch):
        first.trainee.before_epoch(epoch)
        epochs.append(epoch)
        if len(epochs) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_in(tmp_path / "killed", replace(first.trainee, before_epoch=stop), data, qat_settings(epochs=3).training)
    train_in(tmp_path / "killed", second.trainee, data, qat_settings(epochs=3).training)
    for expected, found in zip(
        whole.float_model().state_dict().values(), second.float_model().state_dict().values(), strict=True
    ):
        assert torch.equal(expected, found)
    assert torch.equal(logits(whole.convert(), images), logits(second.convert(), images))
