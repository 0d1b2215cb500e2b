"""What each layer bears when it alone is pruned: from sparsity.json to a table and a figure."""

import pytest

import records
from winnow.figures.pruning_sensitivity import pruning_sensitivity
from winnow.figures.style import styled
from winnow.report.pruning_sensitivity_table import pruning_sensitivity_table
from winnow.results.csv_files import write_csv
from winnow.results.not_measured import Missing
from winnow.results.pruning_sensitivity import collect_curves, read_curves
from winnow.study.sparsity import Curve, Group, Probe

AXES = {"criterion": "l1", "scope": "sensitivity", "ratio": 0.5, "rounds": 1, "rewind": "none", "shuffle": "none"}
# conv2 suffers most, though conv1 was probed last; conv3 has no curve: it may not lose channels
BORNE = {"conv2": {0.0: 0.9, 0.5: 0.5, 0.875: 0.1}, "conv1": {0.0: 0.9, 0.5: 0.88, 0.75: 0.8}}


def write(root, structure="channels", seed=0, shift=0.0, requested=0.5):
    """Write the record of a first round that took a quarter of conv1 and half of conv2."""
    slug = f"l1-sensitivity-{structure}-{requested}-x1-none"
    path = root / f"d/m/seed{seed}/{slug}/round1/sparsity.json"
    path.parent.mkdir(parents=True)
    curves = tuple(
        Curve(layer, tuple(Probe(removed, 1 - top1, top1 - shift * removed) for removed, top1 in trials.items()))
        for layer, trials in BORNE.items()
    )
    groups = (Group("conv3", (), 8, 8), Group("conv2", ("conv2",), 32, 16), Group("conv1", ("conv1", "bn1"), 16, 12))
    layers = tuple(records.layer_sparsity(name, removed) for name, removed in (("conv1", 0.25), ("conv2", 0.5)))
    records.sparsity(
        slug,
        1,
        AXES | {"structure": structure},
        requested,
        layers=layers,
        groups=groups if structure == "channels" else (),
        curves=curves,
    ).write(path)
    return path


def test_curves_are_rows_in_the_order_of_the_network(tmp_path):
    write_csv(tmp_path / "t.csv", collect_curves([write(tmp_path)], tmp_path))
    found = read_curves(tmp_path / "t.csv")
    assert list(found["layer"]) == ["conv1"] * 3 + ["conv2"] * 3
    assert list(found["removed"]) == [0, 0.5, 0.75, 0, 0.5, 0.875]
    first = found.iloc[1]
    assert (first["units"], first["taken"], first["loss"], first["top1"]) == (16, 0.25, pytest.approx(0.12), 0.88)
    assert (first["strategy"], first["seed"]) == ("l1-sensitivity-channels-0.5-x1-none", 0)


def test_the_table_begins_with_what_bears_least_and_reads_between_trials(tmp_path):
    table = pruning_sensitivity_table(collect_curves([write(tmp_path)], tmp_path))
    worst, other = table.shown.to_dict("records")
    assert (worst["layer"], worst["units"], worst["taken (%)"]) == ("conv2", "32", "50.0")
    assert [worst[f"without {share} % (points)"] for share in (25, 50, 75, 90)] == ["-20.0", "-40.0", "-66.7", ""]
    assert [other[f"without {share} % (points)"] for share in (25, 50, 75, 90)] == ["-1.0", "-2.0", "-10.0", ""]
    assert max(map(len, table.markdown().splitlines())) <= 120
    nothing = pruning_sensitivity_table(collect_curves([], tmp_path))
    assert nothing.markdown() == f"{nothing.nothing}\n"


def test_seeds_are_averaged(tmp_path):
    paths = [write(tmp_path, seed=seed, shift=0.2 * seed) for seed in (0, 1)]
    table = pruning_sensitivity_table(collect_curves(paths, tmp_path))
    assert table.shown.iloc[1]["without 50 % (points)"] == "-7.0"  # of 2 and 12


def test_the_figure_has_a_panel_for_each_structure_and_points_for_what_was_taken(tmp_path):
    paths = [write(tmp_path), write(tmp_path, "unstructured"), write(tmp_path, requested=0.25)]
    with styled():
        figure = pruning_sensitivity(collect_curves(paths, tmp_path))
        channels, weights = (axes for axes in figure.axes if axes.get_title(loc="left"))
        assert channels.get_title(loc="left") == "l1, output channels"
        assert weights.get_title(loc="left") == "l1, weights"
        bars = [bar for bar in channels.patches if bar.get_x() < 0.5]
        assert [bar.get_y() + bar.get_height() for bar in bars] == pytest.approx([100, 70.71, 35.36], abs=0.01)
        assert len({bar.get_facecolor() for bar in channels.patches}) == 5  # two begin with no change
        marked = {line.get_label(): list(line.get_ydata()) for line in channels.lines}
        assert marked == {"25 % removed": [75, 50], "50 % removed": [75, 50]}
        with pytest.raises(Missing, match="No layer was pruned alone yet"):
            pruning_sensitivity(collect_curves([], tmp_path))
