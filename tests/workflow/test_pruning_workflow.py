"""What a user meets when pruning: plans of exactly the rounds asked for, and a real grid from end to end."""

import json
import re
import shutil

import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from projects import Project
from winnow.results.pruning_sensitivity import read_curves

SEED = "results/tiny/digits/lenet5/seed0"
MASKED = "l1-global-unstructured-0.9-x2-epoch1"
NARROW = "taylor-sensitivity-channels-0.5-x1-none"
GRID = {
    "criterion": ["l1", "taylor"],
    "scope": ["global", "sensitivity"],
    "structure": ["unstructured", "channels"],
    "ratio": [0.5, 0.9],
    "rounds": [1, 2],
    "rewind": [1, "none"],
    "exclude": [
        {"structure": "unstructured", "criterion": "taylor"},
        {"structure": "unstructured", "scope": "sensitivity"},
        {"structure": "unstructured", "ratio": 0.5},
        {"structure": "unstructured", "rounds": 1},
        {"structure": "unstructured", "rewind": "none"},
        {"structure": "channels", "criterion": "l1"},
        {"structure": "channels", "scope": "global"},
        {"structure": "channels", "ratio": 0.9},
        {"structure": "channels", "rounds": 2},
        {"structure": "channels", "rewind": 1},
    ],
    "calibration_samples": 32,
    "retrain": {"epochs": 1, "distill": {"weight": 0.5}},
}
TRAINING = {"epochs": 3, "warmup_epochs": 1, "ema_decay": 0.5, "clip_norm": 5.0, "accumulate": 2, "resized_crop": 0.9}
TWO_STRATEGIES = {"prune": 3, "retrain": 3}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory, finished) -> Project:
    """A study with two strategies, complete, on top of the finished one's data."""
    project = finished.copy_to(tmp_path_factory.mktemp("pruned") / "pruned project")
    shutil.rmtree(project.root / "results/tiny")
    aware = {"epochs": 1, "lr": 0.001, "distill": {"weight": 0.5, "temperature": 2}}
    quantization = {"methods": ["qat"], "apply_to": "last", "qat": aware}
    project.configure(pruning=GRID, quantization=quantization, training=TRAINING)
    assert project.planned()["retrain"] == 3
    project.run()
    return project


def test_rounds_end_in_rows(pruned):
    table = pd.read_csv(pruned.root / "results/tiny/results.csv", keep_default_na=False, na_values=[""])
    fp32 = table[table["precision"] == "fp32"].set_index("run")
    assert set(fp32.index) == {"dense", f"{MASKED}/round1", f"{MASKED}/round2", f"{NARROW}/round1"}
    assert set(table[table["precision"] == "qat"]["run"]) == set(fp32.index) - {f"{MASKED}/round1"}
    assert fp32.loc[f"{MASKED}/round1", "achieved_sparsity"] == pytest.approx(1 - 0.1**0.5, abs=1e-5)
    assert fp32.loc[f"{MASKED}/round2", "achieved_sparsity"] == pytest.approx(0.9, abs=1e-5)
    last, narrow, dense = (fp32.loc[run] for run in (f"{MASKED}/round2", f"{NARROW}/round1", "dense"))
    assert last["macs"] == dense["macs"] > narrow["macs"] == narrow["nonzero_macs"]
    assert last["theoretical_speedup"] > 2
    assert narrow["theoretical_speedup"] > 1.5
    assert last["sparse_mb"] < last["gzip_mb"] * 1.5 < dense["size_mb"]
    assert (last["rewind"], narrow["rewind"]) == ("epoch1", "none")
    seconds = [dense["training_seconds"], *(fp32.loc[f"{MASKED}/round{k}", "training_seconds"] for k in (1, 2))]
    assert seconds == sorted(seconds)
    qat = table[(table["run"] == f"{MASKED}/round2") & (table["precision"] == "qat")].iloc[0]
    assert qat["integer_macs"] == 1
    assert qat["nonzero_parameters"] < 0.15 * qat["parameters"]
    table = (pruned.root / "results/tiny/tables/pruning.md").read_text()
    assert re.search(r"Measured latency (did not fall|fell)", table)  # as it was measured


def test_what_each_layer_bears_is_a_table_and_a_figure(pruned):
    results = pruned.root / "results/tiny"
    curves = read_curves(results / "tables/pruning_sensitivity.csv")
    assert set(curves["strategy"]) == {NARROW}
    assert list(curves["layer"].unique()) == ["0", "3", "7"]
    assert (curves.groupby("layer")["removed"].min() == 0).all()
    taken = curves.drop_duplicates("layer")
    assert (taken["taken"] * taken["units"]).sum() / taken["units"].sum() == pytest.approx(0.5, abs=0.01)
    assert "| taken (%) |" in (results / "tables/pruning_sensitivity.md").read_text()
    assert (results / "figures/digits/lenet5/pruning_sensitivity.svg").exists()
    assert "pruning_sensitivity" not in (results / "figures/undrawn.json").read_text()
    page = (results / "overview.html").read_text()
    assert "Which layers pruning hurts" in page
    assert "Layers that pruning hurts" in page


def test_pruned_weights_are_zero_and_the_mask_is_exact(pruned):
    folder = pruned.root / SEED / MASKED / "round2"
    weights, masks = load_file(folder / "weights.safetensors"), load_file(folder / "masks.safetensors")
    for name, keep in masks.items():
        assert (weights[name][~keep] == 0).all()
    sparsity = json.loads((folder / "sparsity.json").read_text())
    assert sparsity["kept"] == sum(int(keep.sum()) for keep in masks.values())
    assert abs(sparsity["kept"] - 0.1 * sparsity["total"]) <= 1
    assert [layer["layer"] for layer in sparsity["layers"]] == ["0", "3", "7", "9"]
    history = (folder / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in history] == ["epoch", "2", "3"]
    assert not (folder / "start.safetensors").exists()


def test_a_narrow_network_says_what_it_lost(pruned):
    folder = pruned.root / SEED / NARROW / "round1"
    groups = json.loads((folder / "sparsity.json").read_text())["groups"]
    with safe_open(folder / "weights.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["removed_channels"])
        (kept,) = (group["kept"] for group in groups if "0" in group["members"])
        assert file.get_slice("0.weight").get_shape()[0] == kept
    assert (folder / "qat/model.onnx").exists()


def test_a_second_run_does_nothing(pruned):
    assert "Nothing to be done" in pruned.run()


def test_a_late_round_needs_exactly_the_rounds_before_it(project):
    project.configure(
        pruning={"ratio": [0.5, 0.9], "rounds": [1, 5], "rewind": ["init", 2], "criterion": ["l1", "random"]}
    )
    target = f"{SEED}/l1-global-unstructured-0.9-x5-epoch2/round3/fp32/quality.json"
    expected = {
        "prepare_dataset": 1,
        "check_network": 1,
        "train": 1,
        "prune": 3,
        "retrain": 3,
        "export": 1,
        "evaluate": 1,
    }
    assert project.planned(target) == expected


def test_a_teacher_counts_where_nothing_else_needs_a_training(project):
    """Fresh weights behind a random draw owe nothing to the dense network, unless they learn from it."""
    pruning = {"ratio": [0.5], "rewind": ["random"], "criterion": ["random"]}
    target = f"{SEED}/random-global-unstructured-0.5-x1-random/round1/training.json"
    for weight in (0, 0.5):
        project.configure(pruning=pruning | {"retrain": {"distill": {"weight": weight}}})
        inputs = project.run("-n", target).partition("rule retrain:")[2].partition("output:")[0]
        assert ("dense/training.json" in inputs) == ("dense/weights.safetensors" in inputs) == bool(weight)


def test_quantization_is_applied_where_it_should_be(project):
    for apply_to, count in {"dense": 1, "last": 2, "all": 4}.items():
        project.configure(pruning={"ratio": [0.5], "rounds": [3]}, quantization={"apply_to": apply_to})
        assert project.planned()["train_quantized"] == count
    assert project.planned("pruning")["retrain"] == 3


def test_what_is_not_in_the_grid_is_refused_with_what_is_near(project):
    project.configure(pruning={"ratio": [0.5], "rounds": [3], "rewind": ["init"]})
    text = project.run("-n", f"{SEED}/l1-global-unstructured-0.6-x3-init/round1/weights.safetensors", fails=True)
    assert "is no pruning strategy of study tiny; near it: l1-global-unstructured-0.5-x3-init" in text
    text = project.run("-n", f"{SEED}/l1-global-unstructured-0.5-x3-init/round4/weights.safetensors", fails=True)
    assert "ends after round 3; there is no 4" in text


def test_a_changed_fine_tuning_reruns_retraining_only(pruned, tmp_path):
    study = pruned.copy_to(tmp_path / "changed")
    quantization = {"methods": [], "apply_to": "last"}
    study.configure(
        pruning=GRID | {"retrain": GRID["retrain"] | {"epochs": 2}},
        quantization=quantization,
        training=TRAINING,
    )
    # the start of a training is not kept: it is made again from the same weights
    expected = {"prune": 1, "retrain": 1, "export": 1, "evaluate": 1, "benchmark": 1}
    planned = study.planned(f"{SEED}/{NARROW}/round1/fp32/quality.json", f"{SEED}/{NARROW}/round1/fp32/speed.json")
    assert planned == expected
