"""A study whose networks multiply with circuits that no processor has: scored from files, never timed, and shipped only
to an accelerator.

And compute in precisions that some processors have: measured there, else empty with a reason.
"""

import json

import numpy as np
import onnx
import openvino
import pandas as pd
import pytest
import yaml

from projects import ONE_THREAD, RUN
from winnow.analysis.recommendation import recommend
from winnow.approximate.circuits import circuit
from winnow.config.recommend import RecommendSettings
from winnow.config.resolve import resolve
from winnow.report.model_card import write_best
from winnow.results.assignment import read_assignments
from winnow.results.csv_files import read_csv
from winnow.study.assignment import Assignment
from winnow.study.multipliers import multiplier
from winnow.study.quality import Quality

OWN = {"table": "circuits/My own.npy", "power": 0.471, "area": 0.564, "source": "our synthesis"}
QUANTIZATION = {
    "recipes": [
        {"method": "ptq", "multiplier": ["exact", OWN], "circuit_error": ["corrected", "left"]},
        {"method": "qat", "multiplier": "auto"},
        {"method": ["bf16", "fp16"]},
    ],
    "multipliers": ["bam-1-1-0", "bam-3-3-0"],
    "drop_before_training": 20,
}
TOLD = ["bf16", "fp16"]
SIMULATED = ["ptq-table-my-own", "ptq-table-my-own-left", "qat-multauto"]
RESULTS = "results/tiny"


@pytest.fixture(scope="module")
def study(tmp_path_factory, finished):
    """On top of what is the same for all recipes."""
    project = finished.copy_to(tmp_path_factory.mktemp("approximate") / "a project")
    table = project.root / OWN["table"]
    table.parent.mkdir()
    np.save(table, circuit(multiplier("bam-2-2-0")).table.astype(np.int16))
    project.configure(quantization=QUANTIZATION, recommend={"objective": "accuracy", "max_accuracy_drop": 5})
    project.run(*ONE_THREAD)
    return project


@pytest.fixture(scope="module")
def table(study):
    return pd.read_csv(study.root / RESULTS / "results.csv").set_index("recipe")


def test_every_form_is_made_and_scored(study, table):
    assert sorted(table.index) == sorted(["fp32", "ptq", *SIMULATED, *TOLD])
    assert table["multiplier"].to_dict() == {
        **dict.fromkeys(["fp32", *TOLD], pytest.approx(float("nan"), nan_ok=True)),
        "ptq": "exact",
        "ptq-table-my-own": "table-my-own",
        "ptq-table-my-own-left": "table-my-own",
        "qat-multauto": "auto",
    }
    assert (table.loc["ptq-table-my-own", "sqnr_db"] > table.loc["ptq-table-my-own-left", "sqnr_db"]).all()
    assert table.loc["ptq-table-my-own", "top1"] > 0.5
    assert (table.drop(TOLD)["openvino_agrees"] == 1).all()
    operators = {node.op_type for node in onnx.load(study.root / RUN / "ptq-table-my-own/model.onnx").graph.node}
    assert operators >= {"Gather", "Conv"}


def test_each_layer_has_the_circuit_that_was_chosen_for_it(study, table):
    chosen = Assignment.read(study.root / RUN / "qat-multauto/multipliers.json")
    record = Quality.read(study.root / RUN / "qat-multauto/quality.json")
    assert {layer.layer: layer.multiplier for layer in record.multiplication.layers} == {
        layer.layer: layer.multiplier for layer in chosen.layers
    }
    assert {found.name for found in chosen.circuits} == {"exact", "bam-1-1-0", "bam-3-3-0"}
    tried = {entry.step: entry.setting.top1 for entry in chosen.curve}
    assert chosen.limit == 0.2
    assert tried[chosen.chosen] >= chosen.floats.top1 - 0.2
    shown = read_assignments(study.root / RESULTS / "tables/multipliers.csv")
    assert list(shown["layer"]) == [layer.layer for layer in chosen.layers]
    assert shown["macs"].sum() == pytest.approx(1)
    power = (shown["macs"] * shown["layer_power"]).sum()
    assert table.loc["qat-multauto", "multiplier_power"] == pytest.approx(power) == pytest.approx(shown["power"][0])
    page = (study.root / RESULTS / "overview.html").read_text()
    assert "The cheapest multiplier of each layer within the limit" in page
    assert "Accuracy against the power of multipliers" in page
    assert "Which layer got which multiplier" in page
    assert "multiplier power (%)" in page
    assert (study.root / RESULTS / "figures/digits/lenet5/layer_multipliers.svg").exists()
    assert "layer_multipliers" not in (study.root / RESULTS / "figures/undrawn.json").read_text()


def test_power_is_what_is_published_and_no_time_is(study, table):
    assert table["multiplier_power"].drop("qat-multauto").dropna().to_dict() == {
        "ptq": 1.0,
        "ptq-table-my-own": 0.471,
        "ptq-table-my-own-left": 0.471,
    }
    assert (table.loc[SIMULATED, "multiplier_error"] > 0).all()
    assert table.loc[["fp32", "ptq"], "multiplier_error"].isna().all()
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


def test_no_network_that_is_simulated_is_shipped_to_a_processor(study):
    record = json.loads((study.root / RESULTS / "recommendation.json").read_text())
    (choice,) = record["choices"]
    assert choice["chosen"]["recipe"] in ("fp32", "ptq", *TOLD)
    admissible = {entry["recipe"]: entry["admissible"] for entry in choice["candidates"]}
    assert not [name for name in SIMULATED if admissible[name]]


def test_to_an_accelerator_the_network_of_least_power_is_shipped(study, table, tmp_path):
    asked = {"target": "accelerator", "max_accuracy_drop": 5}
    study.configure(quantization=QUANTIZATION, recommend=asked)
    settings = RecommendSettings.of(resolve(yaml.safe_load((study.root / study.config).read_text())).recommend)
    (found,) = recommend(read_csv(study.root / RESULTS / "results.csv"), settings)
    assert found.chosen["recipe"] in SIMULATED
    admissible = table["validation_top1"] >= table.loc["fp32", "validation_top1"] - 0.05
    assert found.chosen["multiplier_power"] <= 1.02 * table["multiplier_power"][admissible].min()
    write_best(found, None, study.root / RESULTS, tmp_path)
    card = (tmp_path / "digits/lenet5/model_card.md").read_text()
    assert "**simulates its multipliers**" in card
    assert "nan" not in card
    assert set(study.planned()) == {"recommend", "make_figures", "ship", "make_overview"}


def test_the_study_is_complete(study):
    study.configure(quantization=QUANTIZATION, recommend={"objective": "accuracy", "max_accuracy_drop": 5})
    assert "Nothing to be done" in study.run("-n")
    assert "no latency yet" not in (study.root / RESULTS / "overview.html").read_text()
    np.save(study.root / OWN["table"], circuit(multiplier("bam-3-3-0")).table)
    planned = study.planned()
    assert (planned["calibrate"], planned["evaluate"]) == (2, 2)
    assert "choose_multipliers" not in planned
    assert "train_quantized" not in planned
