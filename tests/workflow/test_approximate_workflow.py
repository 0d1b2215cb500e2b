"""A study whose networks multiply with circuits that no processor has: scored from files, never timed nor shipped."""

import json

import onnx
import pandas as pd
import pytest

from projects import ONE_THREAD, RUN

RECIPES = [
    {"method": "ptq", "multiplier": ["exact", "bam-2-2-0"], "circuit_error": ["corrected", "left"]},
    {"method": "qat", "multiplier": "drum-4"},
]
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
    assert sorted(table.index) == sorted(["fp32", "ptq", *SIMULATED])
    assert table["multiplier"].to_dict() == {
        "fp32": pytest.approx(float("nan"), nan_ok=True),
        "ptq": "exact",
        "ptq-bam-2-2-0": "bam-2-2-0",
        "ptq-bam-2-2-0-left": "bam-2-2-0",
        "qat-drum-4": "drum-4",
    }
    assert (table.loc["ptq-bam-2-2-0", "sqnr_db"] > table.loc["ptq-bam-2-2-0-left", "sqnr_db"]).all()
    assert table.loc["ptq-bam-2-2-0", "top1"] > 0.5
    assert (table["openvino_agrees"] == 1).all()
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


def test_no_network_that_is_simulated_is_shipped(study):
    record = json.loads((study.root / "results/tiny/recommendation.json").read_text())
    (choice,) = record["choices"]
    assert choice["chosen"]["recipe"] in ("fp32", "ptq")
    admissible = {entry["recipe"]: entry["admissible"] for entry in choice["candidates"]}
    assert not [name for name in SIMULATED if admissible[name]]


def test_the_study_is_complete(study):
    assert "Nothing to be done" in study.run("-n")
    assert "no latency yet" not in (study.root / "results/tiny/overview.html").read_text()
