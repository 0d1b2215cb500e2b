"""What a user meets: plans, runs, single targets, reruns, kills, and mistakes."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import onnxruntime
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from projects import LIVE, REPORT, RUN, job_counts
from samples import REPOSITORY

NOTHING = "Nothing to be done"


def test_a_study_ends_in_a_table(finished):
    table = pd.read_csv(finished.root / "results/tiny/results.csv")
    assert list(table["precision"]) == ["dynamic", "fp32", "ptq", "qat"]
    assert (table["top1"] > 0.5).all()
    assert table["quantization_error"].notna().tolist() == [True, False, True, True]
    assert (table["integer_macs"] == [1, 0, 1, 1]).all()
    assert (table["openvino_integer_macs"] == [0, 0, 1, 1]).all()
    assert (table["openvino_agrees"] == 1).all()
    assert table[["onnxruntime_left_in_float", "openvino_left_in_float"]].isna().all(axis=None)
    quantized = table[table["precision"] != "fp32"]
    assert (quantized["float_sqnr_db"] > 20).all()
    assert (quantized["float_agreement"] == 1).all()
    qat, base = (table[table["precision"] == p].iloc[0] for p in ("qat", "fp32"))
    assert qat["training_seconds"] > base["training_seconds"]
    assert qat["size_mb"] < 0.3 * base["size_mb"]
    assert table["latency_torch_b1_t1_ms"].notna().tolist() == [False, True, False, False]
    markdown = (finished.root / "results/tiny/tables/quantization.md").read_text()
    assert "digits, lenet5" in markdown
    assert "top-1 accuracy (%)" in markdown


def test_a_shipped_network_says_how_to_feed_and_read_it(finished):
    session = onnxruntime.InferenceSession(finished.root / RUN / "qat/model.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]
    assert len(json.loads(metadata["mean"])) == len(json.loads(metadata["std"])) == 3
    assert str(REPOSITORY).encode() not in (finished.root / RUN / "qat/model.onnx").read_bytes()


def test_logs_tell_what_happened(finished):
    log = (finished.root / "results/tiny/logs/train/digits/lenet5/seed0.log").read_text()
    assert "digits/lenet5/seed0: epoch 8: loss" in log


def test_nothing_is_left_lying_about(finished):
    left = [path.name for path in (finished.root / "results").rglob("*") if path.suffix == ".resume"]
    left += [path.name for path in (finished.root / "results").rglob(".*")]
    assert left == [".snakemake_timestamp"]  # Snakemake's own mark of best/


def test_a_second_run_does_nothing(finished):
    assert NOTHING in finished.run()


def test_touching_every_file_reruns_nothing(study):
    files = [path for path in study.root.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    random.Random(0).shuffle(files)
    for number, path in enumerate(files):
        os.utime(path, (time.time() + number, time.time() + number))
    assert NOTHING in study.run("-n")


def test_a_changed_qat_rate_reruns_qat_and_what_follows(study):
    study.configure(quantization={"ptq": {"calibration_samples": 32}, "qat": {"epochs": 1, "lr": 0.002}})
    assert study.planned() == {"train_quantized": 1, "evaluate": 1, "benchmark": 1} | REPORT


OF_ONE_TRAINING = {
    "train": 1,
    "export": 1,
    "quantize_dynamic": 1,
    "calibrate": 1,
    "train_quantized": 1,
    "evaluate": 4,
    "benchmark": 4,
}
MINMAX = {"ptq": {"observer": "minmax", "calibration_samples": 32}, "qat": {"epochs": 1, "lr": 0.001}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"benchmark": {"seconds": 0.06}}, {"benchmark": 4}),
        ({"quantization": MINMAX}, {"calibrate": 1, "evaluate": 1, "benchmark": 1}),
        ({"training": {"lr": 0.03}}, OF_ONE_TRAINING),
        ({"seeds": [0, 1]}, OF_ONE_TRAINING),
    ],
)
def test_a_change_reruns_its_subtree_only(study, changes, expected):
    study.configure(**changes)
    assert study.planned() == expected | REPORT


def test_editing_a_module_reruns_the_stages_that_use_it(study):
    with (study.root / "workflow/scripts/winnow/report/quantization_table.py").open("a") as file:
        file.write("\nADDED = 1\n")
    assert study.planned() == {"make_quantization_table": 1, "make_overview": 1}


@pytest.mark.parametrize(("precision", "counterpart"), [("ptq", "fp32/model.onnx"), ("qat", "qat/float.onnx")])
def test_a_network_beyond_a_bound_stops_with_the_layer_where_it_begins(study, precision, counterpart):
    study.configure(quantization={"min_sqnr_db": 200})
    output = study.run(f"{RUN}/{precision}/quality.json", fails=True)
    run = f"digits/lenet5/seed0/dense/{precision}"
    message = (
        rf"error: {run}: {RUN}/{precision}/model.onnx deviates grossly from {RUN}/{counterpart} on \d+ validation "
    )
    assert re.search(message + r"images \(SQNR of the logits .* it begins in layer 0 \(", output), output
    assert ("; try mean or entropy as observer, leave this precision out" in output) == (precision == "ptq")


def test_a_single_file_is_a_target(study, project):
    target = f"{RUN}/ptq/quality.json"
    assert NOTHING in study.run("-n", target)
    expected = {"prepare_dataset": 1, "check_network": 1, "train": 1, "export": 1, "calibrate": 1, "evaluate": 1}
    assert project.planned(target) == expected
    assert project.planned("quantization") | REPORT == project.planned()


def test_the_default_study_is_planned_from_its_configuration_alone(project):
    command = [sys.executable, "-m", "snakemake", "-n"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=True)
    pruned = 3 * 2 * (5 + 1 + 8 * 2 * (1 + 5))  # seeds, networks, rounds: ratio 0 is the same by l1 and at random
    last = 3 * 2 * (2 + 8 * 2 * 2)
    counts = job_counts(done.stdout + done.stderr)
    assert counts["prepare_dataset"] == 2
    assert counts["check_network"] == 4
    assert counts["train"] == 12
    assert counts["prune"] == counts["retrain"] == pruned
    assert counts["train_quantized"] == counts["calibrate"] == counts["quantize_dynamic"] == 12 + last
    assert counts["evaluate"] == counts["benchmark"] == 4 * 12 + pruned + 3 * last
    quantization = subprocess.run(
        [*command, "quantization"], cwd=project.root, capture_output=True, text=True, check=True
    )
    expected = {"prepare_dataset": 2, "check_network": 4, "make_quantization_table": 1, "evaluate": 48, "benchmark": 48}
    expected |= dict.fromkeys(("train", "export", "calibrate", "quantize_dynamic", "train_quantized"), 12)
    assert job_counts(quantization.stdout + quantization.stderr) == expected


def test_a_precision_more_is_checked_before_it_is_trained_and_trains_nothing_again(project):
    few = {"methods": ["ptq"], "ptq": {"calibration_samples": 32}, "qat": {"epochs": 1, "lr": 0.001}}
    few |= {"recipes": [{"method": "ptq", "weight_bits": 4}, {"method": "ptq", "keep_float": "auto"}]}
    small = {"epochs": 2, "warmup_epochs": 1}
    project.configure(quantization=few, training=small)
    project.run()
    report = json.loads((project.root / "results/tiny/digits/lenet5/check.json").read_text())
    assert report["works"]
    table = pd.read_csv(project.root / "results/tiny/results.csv").set_index("recipe")
    assert list(table.index) == ["fp32", "ptq", "ptq-keepauto", "ptq-w4"]
    assert list(table["precision"]) == ["fp32", "ptq", "ptq", "ptq"]
    assert table["quantization_error"].idxmax() == "ptq-w4"
    assert table["packed_mb"].dropna().index.to_list() == ["ptq-w4"]
    assert table.loc["ptq-w4", "packed_mb"] < 0.6 * table.loc["ptq", "size_mb"]
    layers = pd.read_csv(project.root / "results/tiny/tables/sensitivity.csv", dtype={"layer": str})
    tried = pd.read_csv(project.root / "results/tiny/tables/mixed.csv")
    (chosen,) = tried.loc[tried["chosen"], "in_float"]
    assert (layers[["float_ms", "integer_ms"]] > 0).all(axis=None)
    assert (layers["integer_ms"] < layers["integer_total_ms"]).all()
    assert (tried["estimated_ms"] > 0).all()
    expected = {"fp32": 0, "ptq": len(layers), "ptq-keepauto": len(layers) - chosen, "ptq-w4": len(layers)}
    for column in ("integer_layers", "openvino_integer_layers"):
        assert table[column].to_dict() == expected
    assert "Layers that quantization hurts" in (project.root / "results/tiny/overview.html").read_text()
    assert [entry["what"] for entry in report["checks"]] == ["weights", "inference", "training", "fp32", "ptq"]
    project.configure(quantization=few | {"methods": ["ptq", "qat"]}, training=small)
    assert project.planned() == {"train_quantized": 1, "evaluate": 1, "benchmark": 1} | REPORT
    project.run(f"{RUN}/qat/model.onnx")
    log = (project.root / "results/tiny/logs/train_quantized/digits/lenet5/seed0/dense/qat.log").read_text()
    assert "digits/lenet5/seed0/dense/qat, qat: works" in log


def test_what_will_not_work_stops_a_study_before_it_trains(project):
    (project.root / "mine.py").write_text(
        "from torch import nn\n\n\n"
        "class Noise(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return nn.functional.dropout(x, 0.5, True)\n\n\n"
        "def net(channels, size, classes):\n"
        "    return nn.Sequential(nn.Flatten(), Noise(), nn.Linear(channels * size**2, classes))\n"
    )
    project.configure(models={"mine": {"factory": "mine:net"}})
    output = project.run(fails=True)
    assert "error: digits/mine, inference: its logits change from call to call in inference, from layer 1 on" in output
    assert not list((project.root / "results").rglob("weights.*"))
    assert "digits/mine, inference: its logits change" in LIVE.run("config/tiny.yaml", cwd=project.root)


def test_killed_training_is_resumed_and_ends_in_the_same_weights(study):
    """SIGKILL of snakemake and its jobs, as when a machine dies; tests/faults does worse to every kind of training."""
    study.configure(training={"epochs": 20})
    output, folder = f"{RUN}/weights.safetensors", study.root / RUN
    whole = study.copy_to(study.root.parent / "whole")
    process = study.start(output)
    deadline = time.monotonic() + 120
    while not (folder / "weights.resume").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / "weights.resume").exists()
    assert "--unlock" in study.run(output, fails=True)
    study.run("--unlock")
    study.run(output)
    assert json.loads((folder / "training.json").read_text())["resumed"] == 1
    history = pd.read_csv(folder / "history.csv")
    assert list(history["epoch"]) == list(range(1, len(history) + 1))
    assert (folder / "weights.resume").exists()  # nobody has read the weights yet
    study.run(f"{RUN}/fp32/model.onnx")
    assert not (folder / "weights.resume").exists()
    whole.run(output)
    one, other = (load_file(root / output) for root in (study.root, whole.root))
    assert all((one[name] == other[name]).all() for name in one)


def test_an_environment_whose_path_has_a_space(project):
    """As `.venv` has in a clone whose path has one."""
    environment = project.root / "an environment"
    environment.symlink_to(sys.prefix)
    command = [str(environment / "bin" / "python"), *project.command("results/data/digits.safetensors")[1:]]
    subprocess.run(command, cwd=project.root, capture_output=True, check=True)
    assert (project.root / "results/data/digits.safetensors").exists()


def test_mistakes_in_the_configuration_stop_before_any_job(project):
    project.configure(training={"epoch": 3})
    output = project.run(fails=True)
    assert "configuration: unknown key 'training.epoch'; did you mean 'epochs'?" in output
    assert "Traceback" not in output
    assert not (project.root / "results").exists()


def test_images_that_are_not_there_stop_a_run_before_any_job(project):
    project.configure(datasets={"pets": {"source": "image_folder", "path": "no/such"}})
    output = project.run(fails=True)
    assert "configuration: datasets.pets.path: no/such does not exist" in output
    assert not (project.root / "results").exists()


def test_another_definition_of_a_shared_data_set_is_refused(study):
    study.configure(datasets={"digits": {"source": "digits", "max_train_samples": 300}})
    output = study.run(fails=True)
    assert "datasets.digits: results/data/digits.safetensors was prepared from another definition" in output


def test_a_failed_job_says_why_and_leaves_no_output(project, image_folder):
    (image_folder / "train" / "dog" / "1.png").write_bytes(b"not a picture")
    pets = {"source": "image_folder", "path": str(image_folder)}
    project.configure(datasets={"pets": pets}, quantization={"methods": []})
    output = project.run("--retries", "2", fails=True)
    assert "Traceback" not in output
    assert "Trying to restart" not in output  # the user has to act: no attempt would mend it
    summary = output[output.index("1 failed, with all that needs them:") :]
    assert "prepare_dataset of pets" in summary
    assert "train/dog/1.png is not a readable image" in summary
    assert "(log: results/tiny/logs/prepare_dataset/pets.log)" in summary
    assert not {"input:", "output:", "check log file"} & set(summary.split())
    assert not list((project.root / "results").rglob("*.safetensors"))


def test_ones_own_images_and_network(project, image_folder):
    for number in range(4):  # a few more, so that there is something to learn from
        for path in list(image_folder.glob("train/*/[0-4].*")):
            (path.parent / f"copy{number}-{path.name}").write_bytes(path.read_bytes())
    (project.root / "mine.py").write_text(
        "from torch import nn\n\n\n"
        "def net(channels, size, classes, width):\n"
        "    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.BatchNorm2d(width), nn.ReLU6(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))\n"
    )
    config = {
        "study": "tiny",
        "datasets": {"pets": {"source": "image_folder", "path": str(image_folder), "image_size": 24}},
        "models": {"mine": {"factory": "mine:net", "arguments": {"width": 8}}},
        "training": {"epochs": 4, "batch_size": 8, "warmup_epochs": 1, "rewind_epochs": [2]},
        "quantization": {"methods": ["dynamic", "ptq"], "ptq": {"calibration_samples": 16}},
        "benchmark": {"batch_sizes": [1], "seconds": 0.05, "warmup_seconds": 0.01},
    }
    (project.root / "config" / "tiny.yaml").write_text(yaml.safe_dump(config))
    project.run("results/tiny/results.csv")
    table = pd.read_csv(project.root / "results/tiny/results.csv")
    assert list(table["precision"]) == ["dynamic", "fp32", "ptq"]
    assert (table["integer_macs"] == [1, 0, 1]).all()
    dense = project.root / "results/tiny/pets/mine/seed0/dense"
    snapshots = [
        load_file(dense / name) for name in ("init.safetensors", "rewind-epoch2.safetensors", "weights.safetensors")
    ]
    assert len({float(weights["5.weight"].sum()) for weights in snapshots}) == 3
    (project.root / "mine.py").write_text((project.root / "mine.py").read_text().replace("ReLU6", "ReLU"))
    assert project.planned()["train"] == 1
