"""Which network is shipped: on the validation split, within all limits, with a model card."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import openvino
import pandas as pd
import pytest
import torch
from PIL import Image

from studies import CLASSES, FED, configuration, tables, write_study
from winnow.analysis.recommendation import as_record, recommend, with_numbers
from winnow.config.recommend import RecommendSettings
from winnow.data.normalization import Normalization
from winnow.deploy.export import export_onnx
from winnow.errors import WinnowError
from winnow.quantize.dynamic import quantize_dynamic
from winnow.report.model_card import dense_beside, reasons, write_all
from winnow.study.recipe import Recipe
from winnow.study.recommendation import Recommendations
from winnow.study.vocabulary import METHODS, PRECISIONS

DENSE = {"strategy": None, "criterion": None, "scope": None, "structure": None, "ratio": np.nan, "rounds": np.nan}
DENSE |= {"rewind": None, "shuffle": None, "round": np.nan, "requested_sparsity": 0.0, "achieved_sparsity": 0.0}


def network(precision, validation, size, latency, seed=0, run="dense", test=0.5):
    keys = {"dataset": "d", "model": "m", "seed": seed, "run": run, "recipe": precision, "precision": precision}
    values = {"validation_top1": validation, "top1": test, "size_mb": size, "latency_openvino_b1_t1_ms": latency}
    pruned = {} if run == "dense" else {"criterion": "l1", "rounds": 1.0, "round": 1.0, "requested_sparsity": 0.5}
    return DENSE | pruned | keys | values


def asked(**limits):
    values = dict.fromkeys(("max_accuracy_drop", "max_size_mb", "max_latency_ms", "max_energy_mj"))
    place = {"runtime": "openvino", "batch_size": 1, "threads": 1, "objective": "size", "target": "processor"}
    return RecommendSettings.of(values | place | limits)


FOUR = pd.DataFrame(
    [
        network("fp32", 0.90, 4.0, 2.0, test=0.1),
        network("dynamic", 0.895, 1.0, 5.0, test=0.9),
        network("ptq", 0.88, 1.1, 0.5),
        network("qat", 0.899, 1.2, 0.6),
    ]
)


@pytest.mark.parametrize(
    ("limits", "precision"),
    [
        ({}, "dynamic"),
        ({"objective": "latency"}, "ptq"),
        ({"objective": "accuracy"}, "fp32"),
        ({"max_accuracy_drop": 0.3}, "qat"),
        ({"max_accuracy_drop": 1.0, "objective": "latency"}, "qat"),
        ({"max_latency_ms": 1.0}, "ptq"),
        ({"max_latency_ms": 1.0, "max_accuracy_drop": 0.5}, "qat"),
        ({"max_size_mb": 1.05}, "dynamic"),
        ({"max_accuracy_drop": 0.0}, "fp32"),
        ({"max_accuracy_drop": 0.5, "max_size_mb": 1.0}, "dynamic"),  # exactly the limit is within it
    ],
)
def test_the_best_within_all_limits_is_chosen_on_the_validation_split(limits, precision):
    (recommendation,) = recommend(FOUR, asked(**limits))
    assert recommendation.chosen["precision"] == precision


def test_the_test_split_has_no_say():
    changed = FOUR.assign(top1=[0.0, 0.1, 0.99, 0.2])
    for objective in ("accuracy", "size", "latency"):
        one, other = (
            recommend(t, asked(max_accuracy_drop=1.0, objective=objective))[0].chosen for t in (FOUR, changed)
        )
        assert one["precision"] == other["precision"]


def test_each_limit_says_how_many_it_excludes_and_the_nearest_is_named():
    (recommendation,) = recommend(FOUR, asked(max_accuracy_drop=0.2, max_size_mb=1.1, max_latency_ms=1.0))
    assert recommendation.chosen is None
    assert list(recommendation.excluded.values()) == [2, 2, 2]
    assert recommendation.nearest["precision"] == "qat"  # too large by 9 %
    text = " ".join(reasons(recommendation))
    assert "Loss of accuracy at most 0.2 points (`max_accuracy_drop`): excludes 2 of 4" in text
    assert "The nearest is dense, qat (seed 0): max_size_mb 1.2 instead of 1.1 MB. It is not shipped." in text


def test_what_was_not_measured_is_not_within_a_limit():
    results = FOUR.assign(latency_openvino_b1_t1_ms=[2.0, 5.0, np.nan, np.nan])
    (recommendation,) = recommend(results, asked(max_latency_ms=1.0))
    assert recommendation.chosen is None
    assert recommendation.unmeasured == 2
    (recommendation,) = recommend(FOUR, asked(max_energy_mj=1.0))
    assert (recommendation.chosen, recommendation.nearest, recommendation.unmeasured) == (None, None, 4)
    (recommendation,) = recommend(results, asked(objective="latency"))
    assert recommendation.chosen["precision"] == "fp32"


def test_of_equals_the_more_accurate_is_chosen():
    results = pd.DataFrame(
        [network("fp32", 0.90, 4.0, 1.0), network("ptq", 0.89, 1.0, 0.500), network("qat", 0.90, 1.0, 0.505)]
    )
    assert recommend(results, asked(objective="latency"))[0].chosen["precision"] == "qat"


def test_combinations_are_judged_by_their_mean_and_the_best_seed_within_the_limits_is_shipped():
    results = pd.DataFrame(
        [
            *(network("fp32", value, 4.0, 1.0, seed) for seed, value in enumerate((0.90, 0.92))),
            *(network("ptq", value, 1.0, 0.5, seed) for seed, value in enumerate((0.95, 0.80))),  # mean 0.875
            *(network("qat", value, 1.2, 0.5, seed) for seed, value in enumerate((0.905, 0.909))),
        ]
    )
    chosen = recommend(results, asked(max_accuracy_drop=1.0))[0].chosen
    assert (chosen["precision"], chosen["seed"]) == ("qat", 1)


def test_a_mean_within_a_limit_that_every_seed_misses_somewhere_ships_nothing():
    results = pd.DataFrame(
        [
            *(network("fp32", 0.90, 4.0, 9.0, seed) for seed in (0, 1)),
            network("ptq", 0.93, 1.0, 1.1, 0),
            network("ptq", 0.85, 1.0, 0.5, 1),
        ]
    )
    assert recommend(results, asked(max_accuracy_drop=1.0, max_latency_ms=1.0))[0].chosen is None


def test_without_a_dense_network_a_loss_of_accuracy_is_unknown():
    results = pd.DataFrame([network("fp32", 0.9, 1.0, 1.0, run="p/round1")])
    assert recommend(results, asked(max_accuracy_drop=50))[0].unmeasured == 1
    assert recommend(results, asked())[0].chosen["run"] == "p/round1"
    assert recommend(results.iloc[:0], asked()) == []


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """best/ of a study, and its folder."""
    root = tmp_path_factory.mktemp("shipped")
    study = write_study(root, configuration(seeds=[0, 1], recommend={"max_size_mb": 0.5, "max_accuracy_drop": 3}))
    results = tables(root, study).results
    recommendations = recommend(results, RecommendSettings.of(study["recommend"]))
    write_all(recommendations, results, root / "results/made-up", root / "best")
    return root, results, recommendations[0]


def test_what_is_shipped_is_the_file_that_was_measured(shipped):
    root, _, recommendation = shipped
    row, folder = recommendation.chosen, root / "best/shapes/lenet5"
    source = root / f"results/made-up/shapes/lenet5/seed{row['seed']}/{row['run']}/{row['precision']}/model.onnx"
    assert (folder / "model.onnx").read_bytes() == source.read_bytes()
    assert (folder / "labels.txt").read_text().splitlines() == CLASSES


@pytest.mark.parametrize("limits", [{}, {"max_size_mb": 0.01}, {"max_energy_mj": 1e-6, "objective": "accuracy"}])
def test_what_was_recommended_is_read_again_with_its_numbers(shipped, tmp_path, limits):
    _, results, recommendation = shipped
    settings = replace(recommendation.settings, **limits)
    before = recommend(results, settings)
    record = as_record(before, settings)
    record.write(tmp_path / "recommendation.json")
    read = Recommendations.read(tmp_path / "recommendation.json")
    assert read == record
    assert {limit.key: limit.largest for limit in read.limits} == {"max_accuracy_drop": 3, "max_size_mb": 0.5} | {
        key: value for key, value in limits.items() if key != "objective"
    }
    (one,), (other,) = before, with_numbers(read, results, settings)
    assert list(reasons(one)) == list(reasons(other))
    pd.testing.assert_frame_equal(other.candidates[list(one.candidates)], one.candidates, check_dtype=False)
    for row, same in ((one.chosen, other.chosen), (one.nearest, other.nearest)):
        assert (row is None) == (same is None)
        if row is not None:
            pd.testing.assert_series_equal(same[row.index], row, check_names=False)
            assert read.shipped == ({("shapes", "lenet5"): (row["run"], row["precision"])} if one.chosen is row else {})
    with pytest.raises(WinnowError, match=r"made from other results; delete it and run again"):
        with_numbers(read, results[results["precision"] != "ptq"], settings)


def test_the_model_card_has_every_metric_beside_the_dense_network(shipped):
    root, results, recommendation = shipped
    row, dense = recommendation.chosen, dense_beside(recommendation, results)
    assert (dense["run"], dense["precision"], dense["seed"]) == ("dense", "fp32", row["seed"])
    card = (root / "best/shapes/lenet5/model_card.md").read_text()
    for value in (f"{100 * row['top1']:.2f} %", f"{row['size_mb']:.3f} MB", f"{100 * dense['top1']:.2f} %"):
        assert value in card
    for column in results:
        if (
            column.startswith("latency_")
            and not column.endswith(("p95_ms", "low_ms", "high_ms"))
            and pd.notna(row[column])
        ):
            assert f"{row[column]:.4f} ms" in card
    assert "Energy is an estimate" in card
    assert "Size at most 0.5 MB (`max_size_mb`): excludes" in card
    assert str(root) not in card
    assert "<table>" in (root / "best/shapes/lenet5/model_card.html").read_text()


def test_the_lines_of_the_card_run(shipped, tmp_path, monkeypatch):
    card = (shipped[0] / "best/shapes/lenet5/model_card.md").read_text()
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((8, 4), 51, np.uint8)).save("image.jpg", quality=100)
    fed, *snippets = [part.partition("```")[0] for part in card.split("```python\n")[1:]]
    names = {}
    exec(fed, names)
    np.testing.assert_allclose(names["images"], np.full((1, 1, 2, 2), (51 / 255 - 0.5) / 0.25), rtol=1e-6)
    monkeypatch.chdir(shipped[0] / "best/shapes/lenet5")
    assert [len(snippet.splitlines()) for snippet in snippets] == [3, 4]
    images = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
    for snippet, module in zip(snippets, (onnxruntime, openvino), strict=True):
        names = {"images": images}
        exec(snippet, names)
        assert names[module.__name__] is module
        assert names["labels"].tolist() == [3, 3]


def test_nothing_to_ship_is_a_page_that_says_why(tmp_path):
    study = write_study(tmp_path, configuration(seeds=[0], pruning=None, recommend={"max_size_mb": 0.1}))
    results = tables(tmp_path, study).results
    recommendations = recommend(results, RecommendSettings.of(study["recommend"]))
    write_all(recommendations, results, tmp_path / "results/made-up", tmp_path / "best")
    folder = tmp_path / "best/shapes/lenet5"
    assert sorted(path.name for path in folder.iterdir()) == ["nothing_to_ship.html", "nothing_to_ship.md"]
    text = (folder / "nothing_to_ship.md").read_text()
    assert "excludes 4 of 4 combinations" in text
    assert "The nearest is dense, " in text


def test_a_damaged_network_is_named(tmp_path):
    study = write_study(tmp_path, configuration(seeds=[0], pruning=None))
    results = tables(tmp_path, study).results
    recommendations = recommend(results, RecommendSettings.of(study["recommend"]))
    for path in (tmp_path / "results").rglob("model.onnx"):
        path.write_bytes(b"no network")
    with pytest.raises(WinnowError, match=r"model.onnx: not a network of this study .*delete it and run again"):
        write_all(recommendations, results, tmp_path / "results/made-up", tmp_path / "best")


def test_whatever_wins_can_be_shipped(tmp_path):
    """Every precision, dense and by every strategy."""
    every = {"methods": list(METHODS), "apply_to": "last"}
    study = write_study(tmp_path, configuration(seeds=[0], quantization=every))
    results = tables(tmp_path, study).results
    assert set(results["precision"]) == set(PRECISIONS)
    assert set(results["strategy"].dropna()) == set(study["strategies"])
    settings = RecommendSettings.of(study["recommend"] | {"objective": "size", "max_accuracy_drop": None})
    for winner in results.index:
        sized = results.assign(size_mb=[1e-3 if row == winner else 1.0 for row in results.index])
        (recommendation,) = recommend(sized, settings)
        write_all([recommendation], sized, tmp_path / "results/made-up", tmp_path / "best")
        row = results.loc[winner]
        assert tuple(recommendation.chosen[["run", "precision"]]) == (row["run"], row["precision"])
        card = (tmp_path / "best/shapes/lenet5/model_card.md").read_text()
        file = "fp32" if PRECISIONS[row["precision"]].hint else row["precision"]
        assert f"copied from `shapes/lenet5/seed0/{row['run']}/{file}/model.onnx`" in card
        assert ("the range of all images of a call" in card) == (row["precision"] == "dynamic")
        assert (tmp_path / "best/shapes/lenet5/labels.txt").read_text().splitlines() == CLASSES


def test_the_file_of_a_library_is_read_as_such_and_one_that_takes_pixels(tmp_path, monkeypatch):
    """onnxruntime adds metadata to what it quantizes."""
    study = write_study(tmp_path, configuration(seeds=[0], pruning=None))
    results = tables(tmp_path, study).results
    results = results[results["precision"] == "dynamic"]
    path = tmp_path / "results/made-up/shapes/lenet5/seed0/dense/dynamic/model.onnx"
    layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4))
    metadata = {"classes": CLASSES, **FED}
    export_onnx(layer, torch.rand(2, 1, 2, 2), tmp_path / "float.onnx", metadata, Normalization.read(FED))
    quantize_dynamic(tmp_path / "float.onnx", path, Recipe("dynamic"))
    assert {entry.key for entry in onnx.load(path).metadata_props} > metadata.keys()
    recommendations = recommend(results, RecommendSettings.of(study["recommend"] | {"max_accuracy_drop": None}))
    write_all(recommendations, results, tmp_path / "results/made-up", tmp_path / "best")
    assert (tmp_path / "best/shapes/lenet5/labels.txt").read_text().splitlines() == CLASSES
    folder = tmp_path / "best/shapes/lenet5"
    card = (folder / "model_card.md").read_text()
    assert "Input `pixels`: uint8 [batch, 1, 2, 2], 0 to 255. The file normalizes it, not you: pixels scaled to" in card
    assert "They include the normalization of the images." in card
    monkeypatch.chdir(folder)
    Image.fromarray(np.full((8, 4), 51, np.uint8)).save("image.jpg", quality=100)
    fed, *snippets = [part.partition("```")[0] for part in card.split("```python\n")[1:]]
    names = {}
    exec(fed, names)
    assert names["pixels"].tolist() == [[[[51, 51], [51, 51]]]]
    labels = []
    for snippet in snippets:
        exec(snippet, names)
        labels.append(names["labels"].tolist())
    with torch.no_grad():
        expected = layer(torch.full((1, 1, 2, 2), (51 / 255 - 0.5) / 0.25)).argmax(1).tolist()
    assert labels == [expected] * 2
