"""results.csv of pruned networks, and what the pruning table says about them."""

import pandas as pd
import pytest

import records
from winnow.report.pruning_table import pruning_table
from winnow.results.collect import collect
from winnow.results.csv_files import read_csv, write_csv
from winnow.study.vocabulary import AXES

AXIS_VALUES = {
    "criterion": "l1",
    "scope": "global",
    "structure": "unstructured",
    "ratio": 0.9,
    "rounds": 2,
    "rewind": "none",
    "shuffle": "none",
}


def network(folder, seed=0, number=0, top1=0.9, nonzero=100, milliseconds=2.0, precision="fp32", **axes):
    """Write quality.json and speed.json of a dense network, or of a round of pruning."""
    keys = {"seed": seed, "precision": precision}
    pruning = None
    if number:
        values = AXIS_VALUES | axes
        slug = "-".join(str(value) for value in values.values())
        removed = 1 - (1 - values["ratio"]) ** (number / values["rounds"])
        pruning = records.sparsity(slug, number, values, removed)
        keys["run"] = f"{slug}/round{number}"
    name = f"{keys}".replace("/", ".")
    quality, speed = folder / f"{name}.quality.json", folder / f"{name}.speed.json"
    macs = records.coverage(total_macs=100, nonzero_macs=nonzero)
    records.quality(top1, pruning=pruning, coverage=macs, **keys).write(quality)
    records.speed(records.timing("openvino", 64, 1, milliseconds), **keys).write(speed)
    return quality, speed


def results(networks) -> pd.DataFrame:
    quality, speed = zip(*networks, strict=True)
    return collect(quality, speed, {})


def test_every_axis_is_a_column_and_speedups_are_against_the_dense_network(tmp_path):
    table = results([network(tmp_path), network(tmp_path, number=2, nonzero=20, milliseconds=0.5)])
    dense, pruned = table.iloc[0], table.iloc[1]
    assert [pruned[axis] for axis in AXES] == list(AXIS_VALUES.values())
    assert (pruned["round"], pruned["sparsity_unit"]) == (2, "weights")
    assert pruned["requested_sparsity"] == pytest.approx(0.9)
    assert (pruned["theoretical_speedup"], pruned["speedup_openvino_b64_t1"]) == (5.0, 4.0)
    assert (dense["theoretical_speedup"], dense["speedup_openvino_b64_t1"]) == (1.0, 1.0)
    assert (dense["achieved_sparsity"], dense["weight_sparsity"]) == (0.0, 0.0)
    write_csv(tmp_path / "results.csv", table)
    read = read_csv(tmp_path / "results.csv").iloc[1]
    assert (read["rewind"], read["shuffle"]) == ("none", "none")


def test_precisions_are_compared_with_their_own_kind(tmp_path):
    networks = [network(tmp_path), network(tmp_path, precision="ptq", milliseconds=1.0)]
    table = results([*networks, network(tmp_path, number=1, precision="ptq", milliseconds=0.5)])
    speedups = table.set_index(["run", "precision"])["speedup_openvino_b64_t1"]
    assert speedups["dense"].to_dict() == {"fp32": 1.0, "ptq": 1.0}
    assert speedups.drop("dense").tolist() == [2.0]


def test_the_table_shows_mean_and_spread_of_every_strategy(tmp_path):
    networks = [network(tmp_path, seed, top1=0.9) for seed in (0, 1)]
    networks += [network(tmp_path, seed, 2, top1=0.8 + 0.02 * seed, nonzero=20) for seed in (0, 1)]
    networks += [network(tmp_path, seed, 1, top1=0.85, nonzero=20) for seed in (0, 1)]
    table = pruning_table(results(networks))
    data = table.data
    row = data[(data["metric"] == "top1") & (data["round"] == 2)].iloc[0]
    assert (row["mean"], row["std"], row["n"]) == (pytest.approx(81), pytest.approx(2**0.5), 2)
    change = data[(data["metric"] == "top1_change") & (data["round"] == 2)].iloc[0]
    assert change["mean"] == pytest.approx(-9)
    text = table.markdown()
    assert "81.00 ± 1.41" in text
    assert "85.00" not in text  # only the last round
    assert "Mean ± standard deviation over 2 seeds" in text
    assert "criterion l1, scope global" in text
    table.write(tmp_path / "t.csv", tmp_path / "t.md")
    assert set(pd.read_csv(tmp_path / "t.csv")["round"].dropna()) == {1, 2}


def test_the_table_says_plainly_that_latency_did_not_fall(tmp_path):
    networks = [network(tmp_path), network(tmp_path, number=2, nonzero=20, milliseconds=1.95)]
    text = " ".join(pruning_table(results(networks)).notes)
    assert "**Measured latency did not fall** for 1 of 1 unstructured networks" in text
    assert "at 90.0 % sparsity the theoretical speedup is 5.00, the best measured one 1.03" in text
    networks.append(network(tmp_path, number=2, nonzero=20, milliseconds=0.5, structure="channels"))
    text = " ".join(pruning_table(results(networks)).notes)
    assert "Measured latency fell for 1 of 1 channels networks" in text
    assert "did not fall" in text


def test_networks_that_were_never_pruned_are_left_out(tmp_path):
    table = pruning_table(results([network(tmp_path)]))
    assert table.markdown() == "No pruned network has been evaluated yet.\n"
