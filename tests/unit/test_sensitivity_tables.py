"""Which layers stay in float by a recipe, and the tables of what was measured."""

import pandas as pd
import pytest

from winnow.errors import WinnowError
from winnow.figures.layer_sensitivity import layer_sensitivity
from winnow.figures.style import styled
from winnow.measure.machine import machine
from winnow.quantize.spared import spared_layers
from winnow.report.sensitivity_table import mixed_table, sensitivity_table
from winnow.results.csv_files import write_csv
from winnow.results.not_measured import Missing
from winnow.results.sensitivity import collect_mixed, collect_sensitivity, read_layers
from winnow.study.layer_times import LayerTimes
from winnow.study.recipe import Recipe
from winnow.study.sensitivity import Candidate, LayerSensitivity, MixedPrecision, Sensitivity, Setting

FLOATS, QUANTIZED = Setting(0.10, 0.90, None), Setting(0.50, 0.80, 10.0)


def sensitivity(path, shift=0.0):
    """conv2 hurts most, conv1 least."""
    harm = {"conv1": 0.0, "conv2": 0.3 + shift, "fc": 0.1}
    layers = tuple(
        LayerSensitivity(
            layer=name,
            alone=Setting(FLOATS.loss + value, FLOATS.top1 - value / 10, 30.0 if value else None),
            spared=Setting(QUANTIZED.loss - value, QUANTIZED.top1 + value / 10, 12.0),
            macs=0.5 if name == "conv2" else 0.25,
            weights=1 / 3,
        )
        for name, value in harm.items()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Sensitivity(axes=Recipe("ptq").axes, samples=200, floats=FLOATS, quantized=QUANTIZED, layers=layers).write(path)
    return path


def mixed(path):
    curve = (Candidate(0, QUANTIZED), Candidate(1, Setting(0.12, 0.895, 25.0)), Candidate(3, FLOATS))
    path.parent.mkdir(parents=True, exist_ok=True)
    order = ("conv2", "fc", "conv1")
    MixedPrecision(limit=0.01, samples=200, floats=FLOATS, order=order, in_float=1, curve=curve).write(path)
    return path


def layer_times(path, recipe, layers, **changes):
    """fp32 takes twice as long as integers; what takes 0.5 ms belongs to no layer."""
    identity = {"dataset": "d", "model": "m", "seed": 0, "run": "dense", "recipe": recipe, "precision": recipe}
    where = {"runtime": "openvino", "batch_size": 64, "threads": 1, "other_load": 0.0, "machine": machine()}
    found = {"layers": layers, "rest_ms": 0.5, "untimed": None} | changes
    path = path / f"d/m/seed0/dense/{recipe}/layer_times.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    LayerTimes(**identity, **where, **found).write(path)
    return path


def test_a_recipe_spares_the_layers_that_hurt_most(tmp_path):
    measured, chosen = sensitivity(tmp_path / "sensitivity.json"), mixed(tmp_path / "mixed.json")
    assert spared_layers(Recipe("ptq"), None, "r") == ()
    assert spared_layers(Recipe("ptq", keep_float=1), measured, "r") == ("conv2",)
    assert spared_layers(Recipe("ptq", keep_float=2), measured, "r") == ("conv2", "fc")
    assert spared_layers(Recipe("ptq", keep_float="auto"), chosen, "r") == ("conv2",)
    with pytest.raises(WinnowError, match=r"^r: keep_float is 3, but the network has 3 layers .* keep fewer in float$"):
        spared_layers(Recipe("ptq", keep_float=3), measured, "r")


def test_layers_are_shown_those_that_hurt_most_first_means_over_seeds(tmp_path):
    paths = [sensitivity(tmp_path / f"d/m/seed{seed}/dense/ptq/sensitivity.json", shift=0.1 * seed) for seed in (0, 1)]
    write_csv(tmp_path / "t.csv", collect_sensitivity(paths, tmp_path))
    data = read_layers(tmp_path / "t.csv")
    assert len(data) == 6
    table = sensitivity_table(data)
    assert list(table.shown["layer"]) == ["conv2", "fc", "conv1"]
    worst = table.shown.iloc[0]
    assert (worst["dataset"], worst["model"], worst["recipe"]) == ("d", "m", "ptq")
    assert (worst["harm (nats)"], worst["alone on integers (points)"]) == ("0.3500", "-3.50")
    assert (worst["alone in float (points)"], worst["MACs (%)"], worst["SQNR (dB)"]) == ("+3.50", "50.0", "30.0")
    assert table.shown.iloc[2]["SQNR (dB)"] == ""  # exact
    assert "On 200 validation images; means over 2 seeds." in table.notes
    assert max(map(len, table.markdown().splitlines())) <= 120


def test_what_sparing_a_layer_costs_is_what_it_takes_longer_in_float(tmp_path):
    measured = [sensitivity(tmp_path / "d/m/seed0/dense/ptq/sensitivity.json")]
    chosen = [mixed(tmp_path / "d/m/seed0/dense/ptq-keepauto/mixed.json")]
    times = [
        layer_times(tmp_path, "fp32", {"conv1": 1.0, "conv2": 4.0}),
        layer_times(tmp_path, "ptq", {"conv1": 0.5, "conv2": 1.0, "fc": 0.5}),
    ]
    table = sensitivity_table(collect_sensitivity(measured, tmp_path, times))
    assert sum("By the profile of OpenVINO, batch 64, one thread;" in note for note in table.notes) == 1
    shown = table.shown.set_index("layer")
    assert dict(shown["time (%)"]) == {"conv2": "40.0", "fc": "20.0", "conv1": "20.0"}
    assert dict(shown["sparing costs (ms)"]) == {"conv2": "+3.000", "fc": "", "conv1": "+0.500"}  # fc: not known
    with styled():
        figure = layer_sensitivity(collect_sensitivity(measured, tmp_path, times))
    assert [bar.get_height() for bar in figure.axes[1].containers[0]][:2] == [0.5, 3.0]
    tried = mixed_table(collect_mixed(chosen, tmp_path, times, {"ptq-keepauto": "ptq"}))
    assert list(tried.shown["estimated time (ms)"]) == ["2.500", "5.500", ""]
    refused = [times[0], layer_times(tmp_path, "ptq", {}, untimed="does not load it")]
    assert set(sensitivity_table(collect_sensitivity(measured, tmp_path, refused)).shown["time (%)"]) == {""}


def test_the_figure_has_two_bars_for_each_layer_and_a_panel_for_each_recipe(tmp_path):
    paths = [sensitivity(tmp_path / f"d/m/seed0/dense/{recipe}/sensitivity.json") for recipe in ("ptq", "ptq-w4")]
    with styled():
        figure = layer_sensitivity(collect_sensitivity(paths, tmp_path))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["ptq", "ptq-w4"]
    heights = [[bar.get_height() for bar in bars] for bars in figure.axes[0].containers]
    assert heights == [pytest.approx([0, -3, -1]), pytest.approx([0, 3, 1])]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["conv1", "conv2", "fc"]
    with pytest.raises(Missing, match="was not measured yet"):
        layer_sensitivity(collect_sensitivity([], tmp_path))


def test_the_curve_says_what_was_tried_and_chosen(tmp_path):
    path = mixed(tmp_path / "d/m/seed0/dense/ptq-keepauto/mixed.json")
    write_csv(tmp_path / "t.csv", collect_mixed([path], tmp_path))
    table = mixed_table(read_layers(tmp_path / "t.csv"))
    assert list(table.shown["layers in float"]) == ["0", "1 (chosen)", "3"]
    assert list(table.shown["loss (points)"]) == ["10.00", "0.50", "0.00"]
    assert table.notes == ["d/m/seed0, ptq-keepauto: in float stay conv2."]


def test_without_anything_measured_the_tables_say_so(tmp_path):
    for table in (sensitivity_table(collect_sensitivity([], tmp_path)), mixed_table(collect_mixed([], tmp_path))):
        assert table.markdown() == f"{table.nothing}\n"
        write_csv(tmp_path / "t.csv", table.data)
        assert isinstance(read_layers(tmp_path / "t.csv"), pd.DataFrame)
