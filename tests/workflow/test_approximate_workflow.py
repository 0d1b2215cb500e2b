"""A study whose networks multiply with circuits that no processor has: scored from files, never timed nor shipped.

And compute in precisions that some processors have: measured there, else empty with a reason.
"""

import json

import onnx
import openvino
import pandas as pd
import pytest

from projects import ONE_THREAD, RUN

RECIPES = [
    {"method": "ptq", "multiplier": ["exact", "bam-2-2-0"], "circuit_error": ["corrected", "left"]},
    {"method": "qat", "multiplier": "drum-4"},
    {"method": ["bf16", "fp16"]},
]
TOLD = ["bf16", "fp16"]
SIMULATED = ["ptq-bam-2-2-0", "ptq-bam-2-2-0-left", "qat-drum-4"]


@pytest.fixture(scope="module")
def study(tmp_path_factory, finished):
    """On top of what is the same for all recipes."""
    project = finished.copy_to(tmp_path_factory.mktemp("approximate") / "a project")
    project.configure(quantization={"recipes": RECIPES}, recommend={"objective": "accuracy"})
    project.run(*ONE_THREAD)
    return project


@pytest.fixture(scope="module")
def table(study):
    return pd.read_csv(study.root / "results/tiny/results.csv").set_index("recipe")


def test_every_form_is_made_and_scored(study, table):
    assert sorted(table.index) == sorted(["fp32", "ptq", *SIMULATED, *TOLD])
    assert table["multiplier"].to_dict() == {
        **dict.fromkeys(["fp32", *TOLD], pytest.approx(float("nan"), nan_ok=True)),
        "ptq": "exact",
        "ptq-bam-2-2-0": "bam-2-2-0",
        "ptq-bam-2-2-0-left": "bam-2-2-0",
        "qat-drum-4": "drum-4",
    }
    assert (table.loc["ptq-bam-2-2-0", "sqnr_db"] > table.loc["ptq-bam-2-2-0-left", "sqnr_db"]).all()
    assert table.loc["ptq-bam-2-2-0", "top1"] > 0.5
    assert (table.drop(TOLD)["openvino_agrees"] == 1).all()
    operators = {node.op_type for node in onnx.load(study.root / RUN / "qat-drum-4/model.onnx").graph.node}
    assert operators >= {"Gather", "Conv"}


def test_power_is_what_is_published_and_no_time_is(study, table):
    assert table["multiplier_power"].dropna().to_dict() == {
        "ptq": 1.0,
        "ptq-bam-2-2-0": 0.471,
        "ptq-bam-2-2-0-left": 0.471,
    }
    timed = [column for column in table if column.startswith(("latency_", "energy_", "p95_", "power_"))]
    assert timed
    assert table.loc[SIMULATED, [*timed, "size_mb", "integer_macs", "parameters"]].isna().all(axis=None)
    assert table.loc["ptq", "size_mb"] > 0
    assert not [name for name in SIMULATED if (study.root / RUN / name / "speed.json").exists()]


@pytest.mark.parametrize("precision", TOLD)
def test_a_precision_of_some_processors_is_measured_there_from_the_fp32_file(study, table, precision):
    row, base = table.loc[precision], table.loc["fp32"]
    assert not (study.root / RUN / precision / "model.onnx").exists()
    assert row["size_mb"] == base["size_mb"]
    numbers = ["top1", "openvino_top1", "quantization_error", "latency_openvino_b1_t1_ms"]
    if precision.upper() in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert row[numbers].notna().all()
        assert abs(row["top1"] - base["top1"]) < 0.02
        assert row["float_agreement"] > 0.95
    else:
        assert row[numbers].isna().all()
        assert row["openvino_failure"].startswith("not measured here: ")
        assert row["openvino_failure"] in (study.root / "results/tiny/overview.html").read_text()
    assert row["onnxruntime_failure"] in (study.root / "results/tiny/tables/quantization.md").read_text()


def test_no_network_that_is_simulated_is_shipped(study):
    record = json.loads((study.root / "results/tiny/recommendation.json").read_text())
    (choice,) = record["choices"]
    assert choice["chosen"]["recipe"] in ("fp32", "ptq", *TOLD)
    admissible = {entry["recipe"]: entry["admissible"] for entry in choice["candidates"]}
    assert not [name for name in SIMULATED if admissible[name]]


def test_the_study_is_complete(study):
    assert "Nothing to be done" in study.run("-n")
    assert "no latency yet" not in (study.root / "results/tiny/overview.html").read_text()
