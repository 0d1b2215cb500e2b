"""Few images, small and large batches: every combination works, or is refused in one line before a file is written."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torch import nn

import records
import samples
from samples import Network, dataset_settings, model_settings, train_in, training_settings
from winnow.check.feasibility import check_network
from winnow.config.check_request import check_request
from winnow.config.resolve import resolve
from winnow.config.settings import BoundsSettings, CheckSettings
from winnow.data import prepare as preparing
from winnow.data.images import Held, Images
from winnow.data.prepared import read_prepared
from winnow.deploy.export import export_checked
from winnow.errors import WinnowError
from winnow.measure.quality import Files, Origin, evaluate
from winnow.models.build import build_model
from winnow.quantize.images import calibration_batches
from winnow.quantize.static import quantize_static
from winnow.study.identity import Identity
from winnow.study.recipe import Recipe
from winnow.train.loop import Trainee

CLASSES = 3


def images(counts, size=8) -> Images:
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 3, size, size), dtype=np.uint8)
    return Images(pixels, labels, tuple(f"class{k}" for k in range(len(counts))))


def prepared(monkeypatch, train, test, size=8, **changes):
    held = lambda settings: Held(images(train, size), images(test, size), settings)
    monkeypatch.setattr(preparing, "open_source", held)
    return samples.prepared(dataset_settings("image_folder", **changes))


def refusal(call) -> str | None:
    """Return the one line that refuses a call; None if it works."""
    try:
        call()
    except WinnowError as error:
        (line,) = str(error).splitlines()
        return line
    return None


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("fraction", [1e-9, 0.1, 0.5, 0.999999])
def test_every_class_has_an_image_of_each_split_or_is_named(monkeypatch, count, fraction):
    line = refusal(lambda: prepared(monkeypatch, [9, 9, count], [1, 1, 1], validation_fraction=fraction))
    aside = max(1, round(fraction * count))
    if aside >= count or max(1, round(fraction * 9)) >= 9:
        assert "training images, too few to set a validation split aside; " in line
        return
    assert line is None
    data = prepared(monkeypatch, [9, 9, count], [1, 1, 1], validation_fraction=fraction)
    for split in ("train", "validation", "test"):
        assert set(data.rows(split)[1].tolist()) == {0, 1, 2}
    assert int((data.rows("validation")[1] == 2).sum()) == aside
    assert np.isfinite(data.normalization.mean).all()
    assert np.isfinite(data.normalization.std).all()


@pytest.mark.parametrize("limit", range(2, 13))
def test_any_limit_keeps_every_class_or_is_refused(monkeypatch, limit):
    line = refusal(lambda: prepared(monkeypatch, [9, 2, 5], [3, 3, 3], max_train_samples=limit, max_test_samples=limit))
    if limit < CLASSES:
        assert line == (
            f"data set images: max_train_samples {limit} is below one image for each of 3 classes; raise it"
        )
    elif limit < 2 * CLASSES:
        assert "too few to set a validation split aside" in line
    else:
        data = prepared(monkeypatch, [9, 2, 5], [3, 3, 3], max_train_samples=limit, max_test_samples=limit)
        assert len(data.train_labels) == limit
        assert len(data.test_labels) == min(limit, 9)
        assert set(data.test_labels.tolist()) == {0, 1, 2}


def norm_after_pooling(classes: int) -> nn.Module:
    return Network(
        lambda self, x: self.head(self.norm(self.conv(x).mean((2, 3)))),
        conv=nn.Conv2d(3, 4, 3),
        norm=nn.BatchNorm1d(4),
        head=nn.Linear(4, classes),
    )


BATCHES = (1, 2, 3, 4, 5, 6, 7, 1000)
"""Of six training images: one, some, all but one, all, more."""


@pytest.mark.parametrize("size", BATCHES)
@pytest.mark.parametrize("kind", ["norm after pooling", "norm of maps", "no norm"])
def test_any_size_of_batch_trains_or_is_refused(monkeypatch, tmp_path, size, kind):
    data = prepared(monkeypatch, [3, 3, 3], [1, 1, 1], validation_fraction=0.1)
    assert len(data.train_index) == 6
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES))
    maps = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, CLASSES))
    model = {"norm after pooling": norm_after_pooling(CLASSES), "norm of maps": maps, "no norm": plain}[kind]
    settings = training_settings(batch_size=size, lr=0.01)
    line = refusal(lambda: train_in(tmp_path, Trainee(model), data, settings))
    if size == 1 and kind == "norm after pooling":
        assert "a training step of 1 images fails in layer norm" in line
        assert "training.batch_size" in line
        return
    assert line is None
    rows = (tmp_path / "history.csv").read_text().splitlines()[1:]
    assert len(rows) == 2
    assert all(math.isfinite(float(cell)) for row in rows for cell in row.split(","))
    assert all(value.isfinite().all() for value in model.state_dict().values())


def config(samples=2, methods=("ptq",), **changes):
    return {
        "study": "s",
        "datasets": {"d": {"source": "image_folder", "path": "."}},
        "models": {"lenet5": {}},
        "quantization": {"methods": list(methods), "ptq": {"calibration_samples": samples}},
        "pruning": {"ratio": [0.5], "criterion": ["taylor"], "calibration_samples": samples} | changes,
    }


def check(data, given):
    settings = CheckSettings.of(check_request(resolve(given), "d", "lenet5"))
    return {finding.what: finding.reason for finding in check_network(settings, data, "d/lenet5")}


def test_the_smallest_data_set_is_enough_for_everything(monkeypatch):
    """Two classes; of each an image to train, one to validate and one to test."""
    data = prepared(monkeypatch, [2, 2], [1, 1], size=16)
    assert [len(data.rows(name)[1]) for name in ("train", "validation", "test")] == [2, 2, 2]
    assert set(check(data, config(methods=("dynamic", "ptq", "qat"))).values()) == {None}


def test_what_a_study_needs_more_images_or_other_layers_for_is_said_before_training(monkeypatch):
    data = prepared(monkeypatch, [2, 2], [1, 1], size=16)
    found = check(data, config(samples=3, skip_layers=["first", "conv9"]))
    assert found["ptq"] == (
        "data set images: quantization.ptq.calibration_samples is 3, but the training split has 2 images; lower it"
    )
    assert found["unstructured by taylor"].endswith(
        "pruning.calibration_samples is 3, but the training split has 2 images; lower it"
    )
    found = check(data, config(skip_layers=["first", "conv9"]))
    assert (
        "pruning.skip_layers lists 'conv9', which this network does not have; its layers are "
        in (found["unstructured by taylor"])
    )


@pytest.mark.parametrize("test", [1, 125, 126])
def test_any_number_of_images_is_scored(monkeypatch, tmp_path, test):
    """250 images are a batch of scoring: 2, one whole batch, and two images in the next."""
    data = prepared(monkeypatch, [3, 3], [test, test], size=16)
    model = build_model(model_settings("lenet5"), data.task, seed=0).eval()
    float_file, path = tmp_path / "fp32.onnx", tmp_path / "ptq.onnx"
    export_checked(model, data, float_file, run="r", integer=False)
    export_checked(
        quantize_static(model, calibration_batches(data, 2), Recipe("ptq")), data, path, run="r", integer=True
    )
    bounds = BoundsSettings(min_integer_macs=0.9, min_sqnr_db=-100.0, min_agreement=0.0)
    identity = Identity("d", "m", 0, "dense", "ptq", "ptq")
    origin = Origin(state_dict_bytes=1000, training=records.training(), pruning=None, recipe=Recipe("ptq"))
    samples.write_dataset(tmp_path / "data", data)
    stored = read_prepared(tmp_path / "data", samples.normalization_settings())
    found = evaluate(Files(path, float_file, float_file), stored, identity, origin, bounds, run="r", threads=1)
    assert found.test.samples == sum(map(sum, found.confusion)) == 2 * test
    assert found.validation.samples == 2
    assert found.quantization.validation.samples == 2
    found.write(tmp_path / "quality.json")  # strict JSON: every number is one
