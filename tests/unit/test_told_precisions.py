"""bf16 and fp16: the fp32 file, computed in fewer bits where the processor has them, and nowhere else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import openvino
import pytest

import records
from samples import colored_squares, model_settings, normalization_settings, write_dataset
from studies import NO_HINT, configuration, files, tables, wanted_figures, write_study
from winnow.analysis.recommendation import recommend
from winnow.check.told import tried
from winnow.config.recommend import RecommendSettings
from winnow.config.resolve import resolve
from winnow.config.settings import BenchmarkSettings, BoundsSettings
from winnow.data.prepared import read_prepared
from winnow.deploy import onnx_runtime, openvino_runtime
from winnow.deploy.export import export_checked
from winnow.errors import WinnowError
from winnow.figures.draw import draw_figures
from winnow.measure import quality
from winnow.measure.quality import Files, Origin, evaluate
from winnow.measure.speed import benchmark
from winnow.models.build import build_model
from winnow.report.findings import findings
from winnow.report.model_card import reasons, write_all
from winnow.report.quantization_table import quantization_table
from winnow.study.identity import Identity
from winnow.study.quality import Quality
from winnow.study.recipe import Recipe
from winnow.study.speed import Speed
from winnow.study.vocabulary import METHODS, PRECISIONS, QUANTIZED

TOLD = tuple(name for name, word in PRECISIONS.items() if word.hint)
HAS = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
HERE = tuple(name for name in TOLD if name.upper() in HAS)
SETTINGS = BenchmarkSettings(("onnxruntime", "openvino", "torch"), (1,), (1,), 0.01, 0.02, 65.0)
LACKING = "not measured here: A processor has no {} (OpenVINO finds FP32, INT8)"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """lenet5 as model.onnx, and its prepared data."""
    folder = tmp_path_factory.mktemp("told")
    data = colored_squares(100, 20)
    model = build_model(model_settings("lenet5"), data.task, seed=0).eval()
    export_checked(model, data, folder / "model.onnx", run="r", integer=False)
    write_dataset(folder / "data.safetensors", data)
    return folder / "model.onnx", folder / "data.safetensors"


@pytest.fixture
def old_processor(monkeypatch):
    """OpenVINO as it is on a processor without 16-bit numbers."""
    found = {"OPTIMIZATION_CAPABILITIES": ["INT8", "FP32"], "FULL_DEVICE_NAME": "A processor "}
    core = SimpleNamespace(
        get_property=lambda _, name: found[name], compile_model=openvino_runtime._core().compile_model
    )
    monkeypatch.setattr(openvino_runtime, "_core", lambda: core)


def identity(precision):
    return Identity("d", "m", 0, "dense", precision, precision)


def score(made, precision) -> Quality:
    path, data = made
    bounds = BoundsSettings(min_integer_macs=1.0, min_sqnr_db=6.0, min_agreement=0.8)
    recipe = None if precision == "fp32" else Recipe(precision)
    origin = Origin(state_dict_bytes=1000, training=records.training(), pruning=None, recipe=recipe)
    stored = read_prepared(data, normalization_settings(mean=[0.5], std=[0.25]))
    return evaluate(Files(path, path, path), stored, identity(precision), origin, bounds, run="the/run", threads=1)


def test_they_are_not_made_unless_asked_for():
    assert TOLD == ("bf16", "fp16")
    base = {"study": "s", "datasets": {"d": {"source": "digits"}}, "models": {"lenet5": {}}}
    assert set(resolve(base).recipes) == set(QUANTIZED) == {"dynamic", "ptq", "qat"}
    asked = resolve(base | {"quantization": {"methods": ["bf16"], "recipes": [{"method": ["ptq", "fp16"]}]}})
    assert list(asked.recipes) == ["bf16", "fp16", "ptq"]
    assert set(METHODS) == {*TOLD, *QUANTIZED}
    text = r"quantization.recipes.0.weight_bits means nothing to bf16"
    with pytest.raises(WinnowError, match=text):
        resolve(base | {"quantization": {"recipes": [{"method": "bf16", "weight_bits": 4}]}})


@pytest.mark.skipif(not HERE, reason="this processor has no 16-bit floating point")
def test_the_fp32_file_is_scored_in_the_precision_by_the_runtime_that_has_it(made):
    precision = HERE[0]
    base, found = score(made, "fp32"), score(made, precision)
    assert found.runtimes["onnxruntime"] == NO_HINT
    own = found.runtimes["openvino"]
    assert (own.runs, own.agrees, own.difference) == (True, True, 0.0)
    assert found.test == own.scores
    load = openvino_runtime.load
    images = read_prepared(made[1], normalization_settings(mean=[0.5], std=[0.25])).split("test").inputs(0, 50)
    told, full = (load(made[0], 1, hint)(images).copy() for hint in (PRECISIONS[precision].hint, ""))
    assert 0 < np.abs(told - full).mean() < 0.02 * full.std()
    assert found.quantization.error == pytest.approx(np.abs(told - full).mean(), rel=0.02)
    assert found.quantization.validation.agreement == 1.0
    assert 20 < found.quantization.sqnr_db < 80
    assert found.quantization.layers == ()
    assert found.size == base.size
    assert found.coverage.runtimes["onnxruntime"] is None
    assert (found.coverage.runtimes["openvino"].macs, found.coverage.total_macs) == (0.0, base.coverage.total_macs)


@pytest.mark.skipif(not HERE, reason="this processor has no 16-bit floating point")
def test_it_is_timed_where_it_is_computed(made, tmp_path):
    speed = benchmark(made[0], None, (3, 32, 32), SETTINGS, identity(HERE[0]))
    assert [timing.runtime for timing in speed.timings] == ["openvino"]
    assert speed.untimed == {"onnxruntime": NO_HINT.reason}
    base = benchmark(made[0], None, (3, 32, 32), SETTINGS, identity("fp32"))
    assert base.untimed == {}
    assert base.computation != speed.computation  # no twins that should take the same time
    speed.write(tmp_path / "speed.json")
    assert Speed.read(tmp_path / "speed.json") == speed


@pytest.mark.usefixtures("old_processor")
@pytest.mark.parametrize("precision", TOLD)
def test_a_processor_without_it_measures_nothing_and_says_why(made, precision, tmp_path, caplog):
    found = score(made, precision)
    assert (found.test, found.validation, found.quantization, found.confusion) == (None, None, None, ())
    assert found.runtimes["onnxruntime"] == NO_HINT
    assert not found.runtimes["openvino"].runs
    reason = LACKING.format(precision)
    assert found.runtimes["openvino"].reason == reason
    assert f"the/run: OpenVINO does not run {made[0]}: {reason}" in caplog.text
    assert found.size.onnx_bytes == made[0].stat().st_size
    found.write(tmp_path / "quality.json")
    assert Quality.read(tmp_path / "quality.json") == found
    speed = benchmark(made[0], None, (3, 32, 32), SETTINGS, identity(precision))
    assert (speed.timings, speed.other_load) == ((), 0.0)
    assert speed.untimed == {"onnxruntime": NO_HINT.reason, "openvino": reason}
    details = tried(SimpleNamespace(path=lambda _: made[0]), Recipe(precision))
    assert details == speed.untimed
    assert score(made, "fp32").test.samples == 50  # which needs no hint


def test_another_precision_than_was_asked_for_is_no_measurement(made, monkeypatch):
    """OpenVINO takes bf16 for f16 where the processor has only that, and fp32 where it has neither."""
    monkeypatch.setattr(openvino_runtime, "_lacking", lambda _: None)
    for precision in TOLD:
        reason = openvino_runtime.failure(made[0], PRECISIONS[precision].hint)
        assert reason is None or "OpenVINO computes it in " in reason
        assert precision in HERE or reason


def test_onnx_runtime_takes_no_hint(made):
    with pytest.raises(WinnowError, match="ONNX Runtime cannot be told to use bf16: it computes a float file in fp32"):
        onnx_runtime.load(made[0], 1, "bf16")


@pytest.mark.skipif(not HERE, reason="this processor has no 16-bit floating point")
def test_numbers_beyond_its_range_are_no_accuracy(made, monkeypatch):
    """As in fp16, which ends at 65504."""
    monkeypatch.setattr(quality, "run_on", lambda _, split: np.full((len(split), 10), np.inf, np.float32))
    found = score(made, HERE[0])
    assert found.test is None
    assert found.runtimes["openvino"].reason == "gives logits that are not finite"
    with pytest.raises(WinnowError, match="not finite"):
        score(made, "fp32")


STUDY = configuration(
    seeds=[0, 1],
    quantization={"methods": ["bf16", "dynamic", "ptq"], "apply_to": "last"},
    pruning={"criterion": ["l1"], "ratio": [0.5], "rounds": [1], "rewind": ["init"]},
)


@pytest.fixture
def study(tmp_path):
    return tmp_path, write_study(tmp_path, STUDY)


@pytest.fixture
def unmeasured(study):
    """The study on a machine without bf16."""
    root, resolved = study
    reason = LACKING.format("bf16")
    for path in files(root, resolved)["quality"]:
        record = Quality.read(path)
        if record.precision == "bf16":
            lacking = {"openvino": records.not_run(reason), "onnxruntime": NO_HINT}
            nothing = {"test": None, "validation": None, "confusion": (), "quantization": None}
            replace(record, runtimes=lacking, **nothing).write(path)
            speed = Speed.read(path.with_name("speed.json"))
            untimed = {name: found.reason for name, found in lacking.items()}
            replace(speed, timings=(), untimed=untimed).write(path.with_name("speed.json"))
    return root, resolved


def settings(study, **changes):
    place = {"runtime": "openvino", "batch_size": 64}
    return RecommendSettings.of(study["recommend"] | place | changes)


def dense(found):
    return found.results[(found.results["run"] == "dense") & (found.results["seed"] == 0)].set_index("recipe")


def test_its_row_has_the_numbers_of_openvino_and_the_size_of_the_fp32_file(study):
    rows = dense(tables(*study))
    assert list(rows.index) == ["bf16", "dynamic", "fp32", "ptq"]
    row = rows.loc["bf16"]
    assert row["top1"] == row["openvino_top1"] > 0.9
    assert row["size_mb"] == rows.loc["fp32", "size_mb"]
    assert (row["onnxruntime_agrees"], row["onnxruntime_failure"]) == (0, NO_HINT.reason)
    assert row["latency_openvino_b64_t1_ms"] < rows.loc["fp32", "latency_openvino_b64_t1_ms"]
    assert np.isnan(row["latency_onnxruntime_b64_t1_ms"])
    assert np.isnan(row["integer_macs"])
    assert row["openvino_integer_macs"] == 0


def test_the_report_compares_int8_with_the_best_that_is_free(study):
    root, resolved = study
    results = tables(root, resolved).results
    rows = results[results["run"] == "dense"].groupby("recipe")["latency_openvino_b64_t1_ms"].mean()
    text = "\n".join(findings(results, settings(resolved)))
    assert (
        f"**Free, for the file is that of fp32**: `bf16` ({rows['bf16']:.4f} ms) is fastest, before `fp32` "
        f"({rows['fp32']:.4f} ms) in OpenVINO, batch 64, 1 thread. Against it"
    ) in text
    assert f"`ptq` is {rows['bf16'] / rows['ptq']:.3g}x faster ({rows['ptq']:.4f} ms)" in text
    assert f"`dynamic` is {rows['dynamic'] / rows['bf16']:.3g}x slower" in text
    assert "`bf16` -" in text
    assert "points, the same file, " in text
    elsewhere = "\n".join(findings(results, settings(resolved, runtime="onnxruntime")))
    assert "`bf16` (" in elsewhere.partition("Free, for the file")[2]
    without = results[results["recipe"] != "bf16"]
    assert "Free" not in "\n".join(findings(without, settings(resolved)))


def test_it_can_be_recommended_and_the_card_says_how_it_is_told(study):
    root, resolved = study
    results = tables(root, resolved).results
    results = results[(results["run"] == "dense") & results["recipe"].isin(["fp32", "bf16"])]
    (chosen,) = recommend(results, settings(resolved, objective="latency", max_accuracy_drop=5.0))
    assert chosen.chosen["recipe"] == "bf16"
    folder = root / "results/made-up"
    write_all([chosen], results, folder, root / "best")
    seed = int(chosen.chosen["seed"])
    shipped = root / "best/shapes/lenet5"
    assert (shipped / "model.onnx").read_bytes() == (
        folder / f"shapes/lenet5/seed{seed}/dense/fp32/model.onnx"
    ).read_bytes()
    assert not list(folder.rglob("bf16/model.onnx"))
    card = (shipped / "model_card.md").read_text()
    assert '"INFERENCE_PRECISION_HINT": "bf16"' in card
    assert "on a processor that has bf16" in card
    assert "import onnxruntime" not in card
    (other,) = recommend(results, settings(resolved, runtime="onnxruntime", objective="latency", max_accuracy_drop=5.0))
    assert other.chosen["recipe"] == "fp32"
    assert "1 of 2 do not run in ONNX Runtime, and are excluded too." in " ".join(reasons(other))
    write_all([other], results, folder, root / "best")
    assert '"INFERENCE_PRECISION_HINT": "f32"' in (shipped / "model_card.md").read_text()


def test_what_was_not_measured_is_an_empty_cell_and_a_line(unmeasured):
    root, resolved = unmeasured
    found = tables(root, resolved)
    row = dense(found).loc["bf16"]
    empty = ["top1", "openvino_top1", "validation_top1", "latency_openvino_b64_t1_ms", "quantization_error", "loss"]
    assert row[empty].isna().all()
    assert row["size_mb"] > 0
    table = quantization_table(found.results)
    cells = table.shown.set_index("metric")["bf16"]
    assert cells["top-1 accuracy (%)"] == cells["top-1 accuracy in OpenVINO (%)"] == ""
    assert cells["model size (MB)"]
    (line,) = (note for note in table.notes if "does not run in OpenVINO" in note)
    assert line.endswith(f"bf16: does not run in OpenVINO: {LACKING.format('bf16')}.")
    text = "\n".join(findings(found.results, settings(resolved)))
    assert "`bf16`: **OpenVINO does not run it** (not measured here: A processor has no bf16" in text
    assert "Free" not in text
    assert "nan" not in text
    (chosen,) = recommend(found.results, settings(resolved, objective="latency", max_accuracy_drop=50.0))
    assert chosen.chosen["precision"] == "ptq"
    assert chosen.disagreeing == 2
    drawn = draw_figures(found, wanted_figures(resolved), settings(resolved), {}, root / "figures")
    assert not any("quantization_bars" in name or "pareto" in name for name in drawn)


def test_what_was_scored_on_one_machine_and_not_timed_on_another_is_said(study):
    root, resolved = study
    for path in files(root, resolved)["speed"]:
        record = Speed.read(path)
        if record.precision == "bf16":
            replace(record, timings=(), untimed={"openvino": "not measured here: no bf16"}).write(path)
    results = tables(root, resolved).results
    said = "**Not timed in OpenVINO**, though it was scored there: not measured here: no bf16."
    assert f"`bf16`: {said}" in "\n".join(findings(results, settings(resolved)))
    notes = "\n".join(quantization_table(results).notes)
    assert "bf16: not timed in OpenVINO: not measured here: no bf16." in notes
    assert "not timed in ONNX Runtime" not in notes
