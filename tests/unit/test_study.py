"""From JSON files to results.csv and the quantization table."""

import json

import pandas as pd
import pytest

import records
from winnow.errors import WinnowError
from winnow.report.quantization_table import quantization_table
from winnow.results.collect import collect
from winnow.results.csv_files import read_csv, write_csv


def quality(folder, precision="fp32", top1=0.9, **keys):
    path = folder / f"{keys}.{precision}.quality.json"
    records.quality(top1, precision=precision, **keys).write(path)
    return path


def speed(folder, precision="fp32", seed=0):
    path = folder / f"{seed}.{precision}.speed.json"
    records.speed(precision=precision, seed=seed).write(path)
    return path


def test_a_row_for_each_network_and_holes_where_nothing_was_measured(tmp_path):
    files = [quality(tmp_path, precision="ptq"), quality(tmp_path, precision="fp32")]
    table = collect(files, [speed(tmp_path, "ptq")], {})
    assert list(table["precision"]) == ["fp32", "ptq"]
    assert list(table["size_mb"]) == [2.0, 2.0]
    assert table["latency_onnxruntime_b1_t2_ms"].isna().tolist() == [True, False]
    assert table["energy_onnxruntime_b1_t2_mj"][1] == pytest.approx(4.0)
    assert table["quantization_error"].isna().tolist() == [True, False]
    write_csv(tmp_path / "results.csv", table)
    read = read_csv(tmp_path / "results.csv")
    pd.testing.assert_frame_equal(
        read.astype(object).where(read.notna(), None), table.astype(object).where(table.notna(), None)
    )


def test_a_damaged_file_is_named(tmp_path):
    path = quality(tmp_path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(WinnowError, match=r"quality.json: not readable as JSON .*delete it"):
        collect([path], [], {})
    path.write_text("{}")
    with pytest.raises(WinnowError, match=r"quality.json: has schema None, not 5; delete it"):
        collect([path], [], {})
    content = json.loads(quality(tmp_path).read_text())
    path.write_text(json.dumps(content | {"schema": "2", "dataset": 1}))
    with pytest.raises(WinnowError, match=r"quality.json: has schema '2', not 5; delete it"):
        collect([path], [], {})
    path.write_text("[]")
    with pytest.raises(WinnowError, match=r"quality.json: Input should be an object; delete it"):
        collect([path], [], {})
    path.write_text(json.dumps(content | {"runtimes": {}}))
    with pytest.raises(WinnowError, match=r"quality.json: Value error, runtimes are , not onnxruntime.*; delete it"):
        collect([path], [], {})
    path.write_text(json.dumps(content | {"test": {"top1": "high"}}))
    with pytest.raises(WinnowError, match=r"quality.json: test.top1: Input should be a valid number; delete it"):
        collect([path], [], {})
    path.write_text(json.dumps(content | {"more": 1}))
    with pytest.raises(WinnowError, match=r"quality.json: more: .*; delete it"):
        collect([path], [], {})
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(WinnowError, match=r"results.csv: lacks the columns dataset"):
        read_csv(tmp_path / "results.csv")


def test_the_table_shows_mean_and_spread_over_seeds(tmp_path):
    files = [quality(tmp_path, seed=seed, precision="ptq", top1=0.8 + 0.02 * seed) for seed in (0, 1)]
    files += [quality(tmp_path, dataset="e", precision="qat", top1=0.5)]
    table = quantization_table(collect(files, [speed(tmp_path, "ptq", seed) for seed in (0, 1)], {}))
    row = table.data[(table.data["metric"] == "top-1 accuracy (%)") & (table.data["dataset"] == "d")].iloc[0]
    assert (row["method"], row["n"]) == ("ptq", 2)
    assert (row["mean"], row["std"]) == (pytest.approx(81), pytest.approx(2**0.5))
    text = table.markdown()
    assert list(table.shown.columns) == ["model", "metric", "d ptq", "e qat"]
    assert "81.00 ± 1.41" in text
    assert "median latency, ONNX Runtime, batch 1, 2 threads (ms)" in text
    assert "energy per image, ONNX Runtime, batch 1, 2 threads (mJ, estimate)" in text
    assert "over 1 to 2 seeds" in text
    assert "top-5" not in text
    table.write(tmp_path / "t.csv", tmp_path / "t.md")
    columns = set(pd.read_csv(tmp_path / "t.csv").columns)
    assert columns == {
        "dataset",
        "model",
        "metric",
        "method",
        "recipe",
        *("mean", "std", "n"),
    }
    assert (tmp_path / "t.md").read_text() == text


def test_an_empty_study_has_a_table_that_says_so(tmp_path):
    table = quantization_table(collect([quality(tmp_path, run="other")], [], {}))
    assert table.markdown() == "No network has been evaluated yet.\n"
