"""What people read of networks that a runtime does not compute, or not wholly on integers."""

import re
from dataclasses import replace

import pytest

import records
from studies import configuration, files, tables, wanted_figures, write_study
from winnow.analysis.recommendation import as_record, recommend
from winnow.config.recommend import RecommendSettings
from winnow.figures.draw import draw_figures
from winnow.report.findings import findings
from winnow.report.model_card import reasons, write_all
from winnow.report.quantization_table import quantization_table
from winnow.results.layer_names import left_in_float
from winnow.study.quality import FloatLayer, InRuntime, Quality, RuntimeCoverage

SMALL = {"criterion": ["l1"], "ratio": [0.5, 0.9], "rounds": [1], "rewind": ["init"]}
WRONG = InRuntime(runs=True, agrees=False, scores=records.scores(0.25), difference=0.31)
CRASH = InRuntime(runs=False, agrees=False, reason="crashes (SIGSEGV)")
ROUNDED = (
    FloatLayer("up1", "ConvTranspose", 0.3, "ONNX Runtime has no integer kernel for it"),
    FloatLayer("scores", "MatMul", 0.05, "a product of two activations"),
    FloatLayer("up2", "ConvTranspose", 0.1, "ONNX Runtime has no integer kernel for it"),
)
WORDS = (
    "40.0 % ConvTranspose: ONNX Runtime has no integer kernel for it (up1, up2); "
    "5.0 % MatMul: a product of two activations (scores)"
)


@pytest.fixture
def broken(tmp_path):
    """A study in which OpenVINO miscomputes the dense ptq, which is partly in float, and crashes on the dense qat."""
    study = write_study(tmp_path, configuration(seeds=[0, 1], pruning=SMALL))
    for path in files(tmp_path, study)["quality"]:
        record = Quality.read(path)
        runtimes, coverages = dict(record.runtimes), dict(record.coverage.runtimes)
        if record.run == "dense" and record.precision in ("ptq", "qat"):
            runtimes["openvino"] = WRONG if record.precision == "ptq" else CRASH
        if record.run == "dense" and record.precision == "ptq":
            coverages["onnxruntime"] = RuntimeCoverage(0.55, 2, ROUNDED)
        if record.precision == "qat":
            coverages["openvino"] = None
        replace(record, runtimes=runtimes, coverage=replace(record.coverage, runtimes=coverages)).write(path)
    return tmp_path, study, tables(tmp_path, study)


def settings(study, **changes):
    return RecommendSettings.of(study["recommend"] | changes)


def test_what_stays_in_float_is_grouped_by_reason_and_the_largest_comes_first():
    assert left_in_float(ROUNDED) == WORDS
    assert left_in_float([]) == ""
    many = [FloatLayer(name, "LSTM", 0.01, "r") for name in "abcde"]
    assert left_in_float(many) == "5.0 % LSTM: r (a, b, c and 2 more)"


def test_times_of_something_else_are_left_out(broken):
    results = broken[2].results
    dense = results[(results["run"] == "dense") & (results["seed"] == 0)].set_index("precision")
    assert dense["openvino_agrees"].to_dict() == {"dynamic": 1, "fp32": 1, "ptq": 0, "qat": 0}
    assert (dense["onnxruntime_agrees"] == 1).all()
    timed = [name for name in dense if "_openvino_b" in name]
    assert len(timed) >= 4
    assert dense.loc[["ptq", "qat"], timed].isna().all(axis=None)
    assert dense.loc["dynamic", timed].notna().all()
    assert dense["latency_onnxruntime_b1_t1_ms"].notna().all()
    assert dense["onnxruntime_left_in_float"].dropna().to_dict() == {"ptq": WORDS}


def test_the_table_marks_an_accuracy_that_is_not_the_networks_and_says_what_is_in_float(broken):
    table = quantization_table(broken[2].results)
    cells = table.shown.set_index("metric").loc["top-1 accuracy in OpenVINO (%)"]
    assert list(cells[["ptq", "qat"]]) == ["25.00 ± 0.00 (!)", ""]
    assert "(!)" not in cells["base"] + cells["dynamic"]
    notes = "\n".join(table.notes)
    assert "(!) This runtime computes something else than ONNX Runtime from the file" in notes
    assert f"ptq: left in float, ONNX Runtime: {WORDS}." in notes
    assert re.search(r"qat: does not run in OpenVINO: .*crashes \(SIGSEGV\)", notes)


def test_it_is_not_recommended_there_but_elsewhere(broken):
    root, study, found = broken
    results = found.results[found.results["run"] == "dense"]
    (there,) = recommend(results, settings(study, runtime="openvino", objective="size", max_accuracy_drop=50.0))
    assert there.chosen["precision"] == "dynamic"  # larger than ptq and qat
    assert there.disagreeing == as_record([there], there.settings).choices[0].disagreeing == 2
    said = " ".join(reasons(there))
    assert "2 of 4 do not run in OpenVINO, or compute something else there than in ONNX Runtime" in said
    (here,) = recommend(results, settings(study, runtime="onnxruntime", objective="size", max_accuracy_drop=50.0))
    assert here.disagreeing == 0
    assert here.chosen["precision"] in ("ptq", "qat")
    write_all([here], results, root / "results/made-up", root / "best")
    card = (root / "best/shapes/lenet5/model_card.md").read_text()
    assert ("OpenVINO computes something else" in card) == (here.chosen["precision"] == "ptq")
    assert ("OpenVINO does not run it** (crashes (SIGSEGV))" in card) == (here.chosen["precision"] == "qat")
    assert "import openvino" not in card


def test_one_seed_that_disagrees_keeps_the_combination_out(broken):
    _, study, found = broken
    results = found.results[found.results["run"] == "dense"].copy()
    results.loc[(results["precision"] == "qat") & (results["seed"] == 0), "openvino_agrees"] = 1
    (there,) = recommend(results, settings(study, runtime="openvino", objective="size", max_accuracy_drop=50.0))
    assert there.disagreeing == 2


def test_the_report_says_so_in_words(broken):
    _, study, found = broken
    text = "\n".join(findings(found.results, settings(study)))
    assert (
        "`ptq`: **OpenVINO computes something else** than ONNX Runtime: logits differ by 0.31 of their spread" in text
    )
    assert "`qat`: **OpenVINO does not run it** (crashes (SIGSEGV))" in text
    assert f"`ptq`: Left in float, of all multiply-accumulates, in ONNX Runtime: {WORDS}." in text
    assert "pruned networks" not in text
    assert "`dynamic`: " not in text.partition("Dense fp32 has")[0]


def test_pruned_networks_that_disagree_are_counted(broken):
    _, study, found = broken
    results = found.results.copy()
    results.loc[results["run"] != "dense", "openvino_agrees"] = 0
    pruned = int((results["run"] != "dense").sum())
    text = "\n".join(findings(results, settings(study)))
    assert f"Of {pruned} pruned networks, {pruned} do not run in OpenVINO, or compute something else there" in text


def test_figures_are_drawn_without_it(broken, tmp_path):
    _, study, found = broken
    undrawn = draw_figures(found, wanted_figures(study), settings(study), {}, tmp_path / "figures")
    drawn = list((tmp_path / "figures/shapes/lenet5").glob("*.svg"))
    assert len(drawn) > 5
    assert not any("quantization_bars" in name for name in undrawn)
