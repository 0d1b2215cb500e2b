"""Files that take pixels: what they compute, what they are fed with, and what of them runs on integers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

import records
from samples import colored_squares, model_settings, normalization_settings, write_dataset
from winnow.config.settings import BenchmarkSettings, BoundsSettings
from winnow.data.normalization import Normalization
from winnow.data.prepared import read_prepared
from winnow.deploy.agreement import FLOAT, INT8_RUNTIMES, compared
from winnow.deploy.baking import bake
from winnow.deploy.coverage import measure_coverage
from winnow.deploy.export import export_checked
from winnow.deploy.graphs import computation
from winnow.deploy.inputs import Input, read_input
from winnow.deploy.operations import count_operations, count_weights
from winnow.deploy.overflow import saturating_layers
from winnow.deploy.runtimes import Trained, load_module, shipping
from winnow.errors import WinnowError
from winnow.measure.quality import Files, Origin, evaluate
from winnow.measure.speed import benchmark
from winnow.models.build import build_model
from winnow.models.weights import save_weights
from winnow.quantize.dynamic import quantize_dynamic
from winnow.quantize.images import calibration_batches
from winnow.quantize.static import quantize_static
from winnow.study.identity import Identity
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import SCORED

SHAPE = (3, 32, 32)
RGB = {"mean": [0.5, 0.4, 0.6], "std": [0.25, 0.2, 0.3], "value_range": 1, "channel_order": "rgb"}
BGR = {"mean": [104.0, 117.0, 123.0], "std": [58.0, 57.0, 60.0], "value_range": 255, "channel_order": "bgr"}
RECIPES = {"dynamic": Recipe("dynamic"), "ptq": Recipe("ptq")}


@pytest.fixture(scope="module", params=[RGB, BGR], ids=["rgb", "bgr"])
def made(request, tmp_path_factory):
    """lenet5 in three precisions, each as a plain file and as one that takes pixels."""
    folder = tmp_path_factory.mktemp("baked")
    data = replace(colored_squares(200, 10), normalization=Normalization.read(request.param))
    model = build_model(model_settings("lenet5"), data.task, seed=0).eval()
    save_weights(folder / "weights.safetensors", model)
    write_dataset(folder / "data.safetensors", data)
    quantized = quantize_static(model, calibration_batches(data, 64), RECIPES["ptq"])
    files = {}
    for kind in (False, True):
        paths = {precision: folder / f"{precision}-{kind}.onnx" for precision in ("fp32", *RECIPES)}
        export_checked(model, data, paths["fp32"], run="r", integer=False, baked_in=kind)
        quantize_dynamic(paths["fp32"], paths["dynamic"], RECIPES["dynamic"])
        export_checked(quantized, data, paths["ptq"], run="r", integer=True, baked_in=kind)
        files[kind] = paths
    return SimpleNamespace(folder=folder, data=data, settings=request.param, plain=files[False], baked=files[True])


@pytest.mark.parametrize("precision", ["fp32", *RECIPES])
def test_a_file_computes_from_pixels_what_the_plain_one_does_from_normalized_images(made, precision):
    pixels, tolerance = made.data.test_images.numpy(), FLOAT if precision == "fp32" else INT8_RUNTIMES
    plain, baked = made.plain[precision], made.baked[precision]
    for runtime in SCORED:
        expected = shipping(runtime).load(plain, 1)(made.data.normalization(pixels))
        found = compared(expected, shipping(runtime).load(baked, 1)(pixels))
        assert tolerance.holds(found), f"{runtime}: {found}"
        assert found.difference < (1e-5 if precision == "fp32" else 1e-2)
        ours, theirs = (measure_coverage(path, SHAPE, runtime) for path in (baked, plain))
        assert ours.integer == theirs.integer
        assert len(ours.integer) == 4 * (precision == "ptq" or (precision == "dynamic" and runtime == "onnxruntime"))


@pytest.mark.parametrize("precision", ["fp32", *RECIPES])
def test_normalization_is_no_part_of_the_network(made, precision):
    plain, baked = made.plain[precision], made.baked[precision]
    assert count_weights(baked) == count_weights(plain)
    assert count_operations(baked, SHAPE) == count_operations(plain, SHAPE)
    assert saturating_layers(baked) == saturating_layers(plain)
    assert computation(baked) != computation(plain)  # it is work, and timed


def test_a_file_says_what_it_is_fed_with(made):
    for precision in ("fp32", *RECIPES):
        assert read_input(made.plain[precision]) == Input(None)
        assert read_input(made.baked[precision]).baked_in.facts == made.data.normalization.facts
        graph = onnx.load(made.baked[precision]).graph
        assert [value.name for value in graph.input] == ["pixels"]
        dims = graph.input[0].type.tensor_type.shape.dim
        assert [size.dim_param or size.dim_value for size in dims] == ["batch", *SHAPE]
    said = {entry.key: entry.value for entry in onnx.load(made.baked["ptq"]).metadata_props}
    assert said["baked_in"] == "true"
    assert "baked_in" not in {entry.key for entry in onnx.load(made.plain["ptq"]).metadata_props}


def test_pixels_without_their_normalization_are_an_error(made, tmp_path):
    model = onnx.load(made.baked["fp32"])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(WinnowError, match=r"model.onnx: takes pixels and has no 'mean' in its metadata; delete it"):
        read_input(tmp_path / "model.onnx")


def test_scores_are_those_of_the_plain_file(made):
    data = read_prepared(made.folder / "data.safetensors", normalization_settings(**made.settings))
    bounds = BoundsSettings(min_integer_macs=1.0, min_sqnr_db=6.0, min_agreement=0.8)
    plain, baked = (
        evaluate(
            Files(paths["ptq"], paths["fp32"], paths["fp32"]),
            data,
            Identity("d", "m", 0, "dense", "ptq", "ptq"),
            Origin(1000, records.training(), None, RECIPES["ptq"]),
            bounds,
            run="r",
            threads=1,
        )
        for paths in (made.plain, made.baked)
    )
    assert baked.test.top1 == plain.test.top1
    assert baked.test.loss == pytest.approx(plain.test.loss, rel=1e-3)
    assert baked.coverage == plain.coverage
    assert all(found.agrees for found in baked.runtimes.values())
    ours, theirs = baked.quantization, plain.quantization
    assert ours.sqnr_db == pytest.approx(theirs.sqnr_db, abs=0.5)
    assert [layer.layer for layer in ours.layers] == [layer.layer for layer in theirs.layers]


def test_it_is_timed_with_pixels_and_so_is_the_network_in_torch(made):
    path, data = made.baked["fp32"], made.data
    trained = Trained(model_settings("lenet5"), data.task, made.folder / "weights.safetensors")
    settings = BenchmarkSettings(("onnxruntime", "openvino", "torch"), (2,), (1,), 0.01, 0.02, 65.0)
    speed = benchmark(path, trained, SHAPE, settings, Identity("d", "m", 0, "dense", "fp32", "fp32"))
    assert {timing.runtime for timing in speed.timings} == {"onnxruntime", "openvino", "torch"}
    pixels = read_input(path).noise((4, *SHAPE), np.random.default_rng(0))
    assert (pixels.dtype, pixels.min(), pixels.max()) == (np.uint8, 0, 255)
    eager = load_module("torch", trained, read_input(path).baked_in, 1)(pixels)
    np.testing.assert_allclose(eager, shipping("onnxruntime").load(path, 1)(pixels), atol=1e-5)
    images = read_input(made.plain["fp32"]).noise((4, *SHAPE), np.random.default_rng(0))
    assert images.dtype == np.float32


def test_a_file_that_normalizes_otherwise_than_training_did_is_refused(made, monkeypatch, tmp_path):
    other = Normalization.read(made.settings | {"channel_order": "bgr" if made.settings is RGB else "rgb"})
    monkeypatch.setattr("winnow.deploy.export.bake", lambda model, _: bake(model, other))
    model = build_model(model_settings("lenet5"), made.data.task, seed=0).eval()
    colored = replace(
        made.data, test_images=made.data.test_images * torch.tensor([1, 3, 7], dtype=torch.uint8)[:, None, None]
    )
    with pytest.raises(WinnowError, match="r: the exported network deviates from the one in memory"):
        export_checked(model, colored, tmp_path / "model.onnx", run="r", integer=False, baked_in=True)
    assert not (tmp_path / "model.onnx").exists()
