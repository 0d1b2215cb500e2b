"""You have a trained network: a plain script's, imported, checked, quantized, pruned and recommended as it is."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

import trained_elsewhere
from projects import REPORT, copy_project
from samples import normalization_settings
from winnow.data.batches import Split
from winnow.data.dataset import load_dataset

FOLDER = "results/tiny/shapes/plain"
NET = {"factory": "trained_elsewhere:small_net", "weights": "mine/checkpoint.pth", "weights_key": "model_ema"}
PRUNED = f"{FOLDER}/seed0/l1-global-unstructured-0.5-x1-none/round1"
MEAN, STD = [0.49, 0.45, 0.43], [0.21, 0.22, 0.23]
STUDY = {
    "datasets": {
        "shapes": {
            "source": "image_folder",
            "path": "mine/images",
            "classes": "mine/labels.txt",
            "resize": 36,
            "crop": [32, 24],
            "upright": False,
            "background": "dropped",
            "mean": MEAN,
            "std": STD,
        }
    },
    "models": {"plain": NET | {"training": {"epochs": 0}, "trained": {"joules": 5000}}},
    "quantization": {"methods": ["ptq"], "ptq": {"calibration_samples": 32}},
    "pruning": {"ratio": [0.5]},
    "export": {"baked_in": True},
    "recommend": {"max_accuracy_drop": 50},
}


def write_images(folder):
    """Three classes of noisy colours, of several sizes; some test images are hard to tell."""
    random = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 40)):
        for name, color in {"red": (150, 110, 100), "green": (110, 150, 100), "blue": (100, 110, 150)}.items():
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                shift = random.normal(0, 25, 3)
                size = (36 + number % 5, 30 + number % 20, 3)
                pixels = np.clip(np.array(color) + shift + random.normal(0, 40, size), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The project with a network of the script, after `make check` and the study; do not change it."""
    project = copy_project(tmp_path_factory.mktemp("imported") / "a project")
    shutil.copy2(trained_elsewhere.__file__, project.root)
    write_images(project.root / "mine/images")
    script = [sys.executable, "trained_elsewhere.py", "mine/images", "mine"]
    subprocess.run(script, cwd=project.root, check=True)
    project.configure(**STUDY)
    project.run("check", "all")
    return project


def test_an_imported_network_scores_what_the_script_says_image_for_image(imported):
    said = json.loads((imported.root / "mine/predictions.json").read_text())
    folder, settings = imported.root / f"{FOLDER}/seed0/dense/fp32", normalization_settings(mean=MEAN, std=STD)
    data = load_dataset(imported.root / "results/data/shapes.safetensors", settings)
    assert list(data.classes) == trained_elsewhere.CLASSES != sorted(data.classes)
    split = Split.of(data, "test", torch.device("cpu"))
    paths = sorted((imported.root / "mine/images/test").glob("*/*.png"), key=str)
    fed = split.normalized(split.images[:]).contiguous()
    given = torch.stack([trained_elsewhere.PIPELINE(Image.open(path).convert("RGB")) for path in paths])
    torch.testing.assert_close(fed, given, rtol=0, atol=1e-6)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (logits,) = session.run(None, {"pixels": split.images[:].numpy()})
    names = [f"test/{path.parent.name}/{path.name}" for path in paths]
    assert dict(zip(names, [data.classes[k] for k in logits.argmax(1)], strict=True)) == said["predictions"]
    quality = json.loads((folder / "quality.json").read_text())
    assert quality["test"]["top1"] == pytest.approx(said["top1"])
    assert 0.5 < said["top1"] < 1
    card = (imported.root / "results/tiny/best/shapes/plain/model_card.md").read_text()
    assert "resized to 36 pixels on the shorter side (bilinear, antialiased); 32 x 24 pixels cut out of the" in card
    assert "The file normalizes it, not you: pixels scaled to 0..1" in " ".join(card.split())
    assert "mean [0.49, 0.45, 0.43] and std [0.21, 0.22, 0.23]" in " ".join(card.split())


def test_it_is_pruned_quantized_and_recommended_without_an_epoch(imported):
    results = pd.read_csv(imported.root / "results/tiny/results.csv").set_index(["run", "precision"])
    assert sorted(results.index.get_level_values("precision")) == ["fp32", "fp32", "ptq"]
    assert (results["training_joules"] == 5000).all()
    assert not results["training_energy_estimated"].any()
    assert results[["training_seconds", "training_device", "training_precision"]].isna().all(axis=None)
    assert (results["top1"] > 0.4).all()
    pruned = results.xs("fp32", level="precision").iloc[1]
    assert pruned["achieved_sparsity"] == pytest.approx(0.5, abs=0.001)
    histories = [imported.root / f"{run}/history.csv" for run in (f"{FOLDER}/seed0/dense", PRUNED)]
    assert [len(path.read_text().splitlines()) for path in histories] == [1, 1]
    record = json.loads((imported.root / f"{PRUNED}/training.json").read_text())
    assert (record["trained_here"], record["imported"], record["seconds"], record["energy"]) == (
        False,
        True,
        None,
        None,
    )
    card = (imported.root / "results/tiny/best/shapes/plain/model_card.md").read_text()
    assert "not trained here: weights as they were imported" in card
    page = (imported.root / "results/tiny/overview.html").read_text()
    assert "weights: mine/checkpoint.pth" in page
    for name in ("quantization", "pruning", "ranking"):
        assert "nan" not in (imported.root / f"results/tiny/tables/{name}.md").read_text()


def test_make_check_ends_in_a_short_table(imported):
    table = (imported.root / "results/tiny/tables/check.md").read_text()
    assert "shapes/plain: all 6 things that the study asks of it work." in table
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert "top-1 accuracy (%)" in rows[0]
    assert [row.split("|")[1].strip() for row in rows[1:]] == ["fp32", "ptq"]


def test_other_weights_are_noticed_even_if_older_and_a_touch_is_not(imported, tmp_path):
    project = imported.copy_to(tmp_path / "a project")
    (project.root / "mine/checkpoint.pth").touch()
    assert "Nothing to be done" in project.run("-n")
    again = project.root / "mine/checkpoint.pth"
    state = torch.load(again, weights_only=False)
    state["model_ema"]["module.fc.bias"] += 1
    torch.save(state, again)
    planned = project.planned()
    assert planned["import_network"] == planned["check_network"] == planned["tune"] == planned["prune"] == 1
    assert "prepare_dataset" not in planned


def test_what_its_training_took_trains_nothing_again(imported, tmp_path):
    project = imported.copy_to(tmp_path / "a project")
    stated = NET | {"training": {"epochs": 0}, "trained": {"joules": 6000, "seconds": 70}}
    project.configure(**STUDY | {"models": {"plain": stated}})
    assert project.planned() == REPORT | {"make_pruning_table": 1}
    project.run("results/tiny/results.csv")
    results = pd.read_csv(project.root / "results/tiny/results.csv")
    assert (results["training_joules"] == 6000).all()
    assert (results["training_seconds"] == 70).all()


def test_a_network_to_be_tuned_and_one_with_initial_weights_are_planned(imported, tmp_path):
    project = imported.copy_to(tmp_path / "a project")
    training = {"epochs": 2, "warmup_epochs": 0, "freeze": ["stem"], "head_lr": 0.1}
    tuned = NET | {"training": training, "initial_weights": "mine/initial.pth"}
    pruning = {"ratio": [0.5], "rewind": ["init"], "criterion": ["l1", "snip"]}
    project.configure(**STUDY | {"models": {"tuned": tuned, "lenet5": {}}, "pruning": pruning})
    planned = project.planned("results/tiny/results.csv")
    assert [planned[rule] for rule in ("import_network", "import_initial", "tune", "train", "prune")] == [1, 1, 1, 1, 4]
    checked = project.planned("check")
    assert checked == {"import_network": 1, "check_network": 2, "make_check_table": 1}
