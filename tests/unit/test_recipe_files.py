"""What a recipe's file computes: in both runtimes what the module does, on integers, with the levels asked for."""

import subprocess
import sys
from shutil import which

import numpy as np
import pytest
import torch
from onnx.numpy_helper import to_array
from torch import nn
from torch.nn import functional

from requirements import lacking
from samples import Network
from winnow.deploy.coverage import measure_coverage
from winnow.deploy.export import export_onnx
from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.onnx_runtime import intermediate_values
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.openvino_runtime import load as load_openvino
from winnow.deploy.overflow import saturating_layers
from winnow.measure.layer_noise import layer_sqnr
from winnow.quantize.dynamic import quantize_dynamic
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe

RUNTIMES = {"onnxruntime": load_onnxruntime, "openvino": load_openvino}
IMAGES = torch.randn(32, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LOUD = 3 * torch.randn(32, 3, 16, 16, generator=torch.Generator().manual_seed(1))  # beyond every range that was seen
SHAPE = (3, 16, 16)


def mixed():
    """Every kind of value that is rounded: images, layers with ReLU, ReLU6 or none, sums, pools, pads, joins."""

    def forward(m, x):
        x = functional.relu6(m.a(x))
        x = functional.relu(x + m.norm(m.b(functional.pad(x, (1, 1, 1, 1)))))
        x = torch.cat([m.c(functional.max_pool2d(x, 2)), functional.relu6(m.d(functional.avg_pool2d(x, 2)))], 1)
        return m.head(m.wide(functional.relu(m.e(x)).flatten(1)))

    torch.manual_seed(0)
    layers = {"a": nn.Conv2d(3, 8, 3, padding=1), "b": nn.Conv2d(8, 8, 3, bias=False), "norm": nn.BatchNorm2d(8)}
    layers |= {"c": nn.Conv2d(8, 8, 3, padding=1, groups=8), "d": nn.Conv2d(8, 4, 1), "e": nn.Conv2d(12, 8, 3, 2)}
    return Network(forward, **layers, wide=nn.Linear(72, 16), head=nn.Linear(16, 5)).eval()


def written(model, path, images=IMAGES, **axes):
    quantized = quantize_static(model, images.split(16), Recipe("ptq", **axes))
    export_onnx(quantized, images[:4], path, {})
    return quantized


def codes_of(path, images):
    """The integers that are dequantized to activations when a file runs, by the name of the value."""
    model = read_model(path)
    graph = Graph(model.graph)
    names = [node.input[0] for node in graph.nodes if node.op_type == "DequantizeLinear"]
    names = [name for name in names if graph.constant(name) is None]
    return intermediate_values(model, list(dict.fromkeys(names)), images.numpy())


RECIPES = {
    "w8a8": {},
    "w4a4": {"weight_bits": 4, "activation_bits": 4},
    "w2a6": {"weight_bits": 2, "activation_bits": 6, "observer": "minmax"},
    "tensor": {"weights": "per_tensor", "weight_bits": 6, "observer": "entropy"},
    "safe": {"overflow": "safe", "observer": "percentile"},
    "corrected": {"correction": "bias", "rounding": "adaround", "activation_bits": 5},
    "equalized": {"correction": "equalization", "overflow": "safe", "activation_bits": 4},
}


def tail(channels):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5)


def small(kind):
    """Networks so small that no value lies between two levels, where runtimes may round the other way."""
    torch.manual_seed(0)
    if kind == "sum":
        layers = {name: nn.Conv2d(width, 8, 3, padding=1) for name, width in (("a", 3), ("b", 8), ("c", 8))}

        def forward(m, x):
            x = functional.relu(m.a(x))
            return m.head(functional.relu(m.c(functional.relu(x + m.b(x)))))

        return Network(forward, **layers, head=nn.Sequential(*tail(8))).eval()
    between = {"relu": [nn.ReLU()], "nothing": [], "pool": [nn.ReLU(), nn.MaxPool2d(2)], "relu6": [nn.ReLU6()]}[kind]
    return nn.Sequential(nn.Conv2d(3, 8, 3), *between, nn.Conv2d(8, 8, 3), nn.ReLU(), *tail(8)).eval()


@pytest.mark.parametrize("kind", ["relu", "nothing", "pool", "relu6", "sum"])
def test_four_bits_are_the_same_in_the_module_and_both_runtimes(kind, tmp_path):
    axes = {"observer": "minmax", "weight_bits": 4, "activation_bits": 4}
    quantized = written(small(kind), tmp_path / "model.onnx", **axes)
    for load in RUNTIMES.values():
        for images in (IMAGES, LOUD):
            with torch.no_grad():
                expected = quantized(images).numpy()
            found = load(tmp_path / "model.onnx", threads=1)(images.numpy())
            np.testing.assert_allclose(found, expected, atol=1e-5 * expected.std())


@pytest.mark.parametrize("name", RECIPES)
def test_both_runtimes_compute_what_the_module_computes_on_integers(name, tmp_path):
    axes, path, model = RECIPES[name], tmp_path / "model.onnx", mixed()
    quantized = written(model, path, **axes)
    # a value between two levels may go the other way; OpenVINO adds what ONNX Runtime has rounded before
    tolerated = {"onnxruntime": 0.01, "openvino": 0.02 if axes.get("activation_bits", 8) > 5 else 0.1}
    for runtime, load in RUNTIMES.items():
        assert measure_coverage(path, SHAPE, runtime).macs == 1
        for images in (IMAGES, LOUD):
            with torch.no_grad():
                expected = quantized(images).numpy()
            found = load(path, threads=1)(images.numpy())
            assert abs(found - expected).mean() < tolerated[runtime] * expected.std()
            assert runtime == "openvino" or np.median(abs(found - expected)) < 1e-3 * expected.std()
    levels = 2 ** axes.get("activation_bits", 8)
    values = codes_of(path, LOUD)
    assert len(values) >= 12
    for value in values.values():
        assert value.dtype == np.uint8
        assert len(np.unique(value)) <= levels
        assert value.max() < levels
    assert max(len(np.unique(value)) for value in values.values()) > levels / 2
    largest = 2 ** (axes.get("weight_bits", 8) - 1) - 1
    weights = [to_array(constant) for constant in read_model(path).graph.initializer if constant.data_type == 3]
    weights = [value for value in weights if value.ndim > 1]
    assert len(weights) == 7
    assert all(abs(value.astype(int)).max() <= largest for value in weights)


def test_noise_by_layer_is_of_values_behind_the_clip(tmp_path):
    model = mixed()
    export_onnx(model, IMAGES[:4], tmp_path / "fp32.onnx", {})
    written(model, tmp_path / "a8.onnx")
    written(model, tmp_path / "a4.onnx", activation_bits=4)
    fine, coarse = (
        {noise.layer: noise.sqnr_db for noise in layer_sqnr(tmp_path / "fp32.onnx", path, IMAGES.numpy())}
        for path in (tmp_path / "a8.onnx", tmp_path / "a4.onnx")
    )
    assert list(fine) == ["a", "b", "c", "d", "e", "wide", "head"]
    for layer in fine:
        assert 8 < coarse[layer] < fine[layer] - 12  # four bits are 24 dB


def row(*between, layers=4):
    """Convolutions of 8 channels, each with something behind it, and a classifier."""
    torch.manual_seed(0)
    parts = [part for width in (3, *[8] * (layers - 1)) for part in (nn.Conv2d(width, 8, 3), *between)]
    return nn.Sequential(*parts, *tail(8)).eval()


def rows():
    """Networks whose layers read and feed rounded values in every way."""
    torch.manual_seed(0)
    linears = nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 5)
    return {
        "row": row(nn.ReLU(), layers=3),
        "linears": nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), *linears).eval(),
        "mixed": mixed(),
    }


def left_in_float(path, runtime):
    coverage = measure_coverage(path, SHAPE, runtime)
    return {operation.layer for operation in coverage.operations if operation.node not in coverage.integer}


@pytest.mark.parametrize("kind", rows())
def test_whichever_layer_stays_in_float_it_alone_does_in_both_runtimes(kind, tmp_path):
    model, path = rows()[kind], tmp_path / "model.onnx"
    layers = [name for name, part in model.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    for layer in layers:
        quantized = quantize_static(model, [IMAGES], Recipe("ptq"), spared=(layer,))
        export_onnx(quantized, IMAGES[:4], path, {})
        with torch.no_grad():
            expected = quantized(IMAGES).numpy()
        for runtime, load in RUNTIMES.items():
            assert left_in_float(path, runtime) == {layer}
            assert abs(load(path, threads=1)(IMAGES.numpy()) - expected).mean() < 0.01 * expected.std()
    stored = {name for name, value in quantized.named_buffers() if value.dtype == torch.int8}
    assert stored == {f"{name}.weight" for name in layers[:-1]}


def test_a_transposed_convolution_keeps_its_float_weights(tmp_path):
    model = row(nn.ReLU(), layers=3)
    model[2] = nn.ConvTranspose2d(8, 8, 2, 2).eval()
    with torch.no_grad():
        model[2].weight[:, 0] *= 30  # with one scale for all, rounding would leave little of the others
    quantized = written(model, tmp_path / "model.onnx")
    with torch.no_grad():
        expected = quantized(IMAGES).numpy()
    for runtime, load in RUNTIMES.items():
        assert left_in_float(tmp_path / "model.onnx", runtime) == {"2"}
        assert abs(load(tmp_path / "model.onnx", threads=1)(IMAGES.numpy()) - expected).mean() < 1e-4 * expected.std()


# ---- sums of two products in 16 bits


def saturating():
    """All weights of a channel alike and all activations at the top: the sum of any two products is 64,770."""
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 144, 4)
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.01)
        model[-1].weight.mul_(torch.linspace(-1, 1, 4).view(-1, 1))
    return model


BRIGHT = IMAGES.abs() + 1


def test_which_layers_can_saturate_is_computed_from_the_file(tmp_path):
    model, path = saturating(), tmp_path / "model.onnx"
    written(model, path, BRIGHT, observer="minmax")
    found = {layer.layer: (layer.channels, layer.outputs, layer.largest) for layer in saturating_layers(path)}
    assert found == {"0": (8, 8, 64770), "2": (8, 8, 64770), "5": (4, 4, 64770)}
    for axes in ({"overflow": "safe"}, {"weight_bits": 7}, {"activation_bits": 7}):
        written(model, path, BRIGHT, observer="minmax", **axes)
        assert saturating_layers(path) == ()
    export_onnx(model, BRIGHT[:4], path, {})
    assert saturating_layers(path) == ()  # float
    for overflow, expected in (("fast", ["0", "2", "5"]), ("safe", [])):
        quantize_dynamic(path, tmp_path / "dynamic.onnx", Recipe("dynamic", overflow=overflow))
        assert [layer.layer for layer in saturating_layers(tmp_path / "dynamic.onnx")] == expected


def test_one_large_weight_is_no_pair(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(392, 4)).eval()
    with torch.no_grad():
        model[0].weight.fill_(0.001)
        model[0].weight[:, 0, 0, 0] = 1.0
        model[3].weight.copy_(torch.randn(4, 392).sign() * 0.1)
    written(model, tmp_path / "model.onnx", observer="minmax")
    assert [layer.layer for layer in saturating_layers(tmp_path / "model.onnx")] == ["3"]
    safe = written(model, tmp_path / "model.onnx", observer="minmax", overflow="safe")
    codes = dict(safe.named_buffers())
    assert int(codes["0.weight"].amax()) == 127  # needed nothing
    assert int(codes["3.weight"].abs().amax()) == 64


_ELSEWHERE = """
import sys, numpy as np
runtime, images, *files = sys.argv[1:]
images = np.load(images)
for path in files:
    if runtime == "onnxruntime":
        import onnxruntime
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        logits = session.run(None, {session.get_inputs()[0].name: images})[0]
    else:
        import openvino
        logits = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images)[0]
    np.save(path + "." + runtime, logits)
"""
"""Runs files in a runtime, on whatever processor executes it."""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_safe_files_compute_the_same_on_a_processor_without_vnni(runtime, tmp_path):
    """Emulated is Intel's Haswell, of 2013. What can saturate does there, so that the emulation is known to see it."""
    emulator = which("qemu-x86_64-static")
    if emulator is None:
        lacking("qemu-x86_64-static emulates a processor without VNNI; install qemu-user-static")
    model, files = saturating(), {name: tmp_path / f"{name}.onnx" for name in ("fast", "safe")}
    modules = {}
    for overflow, path in files.items():
        modules[overflow] = written(model, path, BRIGHT, observer="minmax", overflow=overflow)
    np.save(tmp_path / "images.npy", BRIGHT[:2].numpy())
    command = [emulator, "-cpu", "Haswell", sys.executable, "-c", _ELSEWHERE, runtime, tmp_path / "images.npy"]
    subprocess.run([*command, *map(str, files.values())], check=True, timeout=300)
    for overflow, path in files.items():
        logits = np.load(f"{path}.{runtime}.npy")
        native = RUNTIMES[runtime](path, threads=1)(BRIGHT[:2].numpy())
        with torch.no_grad():
            expected = modules[overflow](BRIGHT[:2]).numpy()
        assert abs(native - expected).max() < 0.01 * expected.std()
        wrong = abs(logits - native).max() / native.std()
        assert wrong < 0.01 if overflow == "safe" else wrong > 0.1, (overflow, logits, native)
