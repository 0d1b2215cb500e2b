"""Multipliers that the user describes or leaves to Winnow: configuration, tables, figure and recommendation."""

import re

import numpy as np
import pandas as pd
import pytest

from studies import configuration
from winnow.analysis.multipliers import multiplier_data
from winnow.analysis.recommendation import as_record, recommend, with_numbers
from winnow.config.recommend import RecommendSettings
from winnow.config.resolve import check_own_files, resolve
from winnow.config.typed import built
from winnow.errors import WinnowError
from winnow.figures.layer_multipliers import layer_multipliers
from winnow.figures.multiplier_power import multiplier_power
from winnow.figures.style import styled
from winnow.report.assignment_table import assignment_table
from winnow.report.blocks import to_markdown
from winnow.report.findings import ship_text
from winnow.report.model_card import reasons
from winnow.report.multiplier_words import simulation_words
from winnow.report.quantization_table import quantization_table
from winnow.report.start_page import Outcome, start_page
from winnow.results.assignment import collect_assignments, read_assignments
from winnow.results.csv_files import write_csv
from winnow.results.not_measured import Missing
from winnow.study.assignment import AssignedLayer, Assignment, TriedAssignment
from winnow.study.multiplication import CircuitError
from winnow.study.multiplier_cost import exact_cost
from winnow.study.multipliers import EVOAPPROX, Cost, OwnMultiplier, multiplier
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import CANDIDATES
from winnow.study.sensitivity import Setting

OWN = {"table": "circuits/Half Price.npy", "power": 0.5, "area": 0.6, "source": "our synthesis"}


def asked(*recipes, recommended=None, **quantization):
    quantization |= {"recipes": list(recipes)}
    return resolve(configuration(pruning=None, quantization=quantization, recommend=recommended or {}))


def test_a_recipe_may_leave_its_multiplier_to_winnow():
    study = asked({"method": ["ptq", "qat"], "multiplier": ["exact", "auto"], "weight_bits": [8, 6]})
    assert sorted(study.recipes) == [
        *("ptq", "ptq-multauto", "ptq-w6", "ptq-w6-multauto"),
        *("qat", "qat-multauto", "qat-w6", "qat-w6-multauto"),
    ]
    assert study.candidates == list(CANDIDATES)
    assert built(Recipe, study.recipes["qat-multauto"]).assigned
    measured = built(Recipe, study.calibrated(study.recipes["qat-w6-multauto"]))
    assert measured == Recipe("ptq", weight_bits=6, multiplier="auto")
    assert study.calibrated(study.recipes["ptq-multauto"]) == study.recipes["ptq-multauto"]
    assert study.own_tables(study.recipes["ptq-multauto"]) == []


def test_a_recipe_may_describe_a_circuit():
    study = asked({"method": "ptq", "multiplier": [OWN, "auto"]}, multipliers=["bam-3-0-0", OWN])
    assert sorted(study.recipes) == ["ptq-multauto", "ptq-table-half-price"]
    recipe = built(Recipe, study.recipes["ptq-table-half-price"])
    assert recipe.multiplier == OwnMultiplier(**OWN)
    assert recipe.axes["multiplier"] == "table-half-price"
    assert recipe.circuit.cost == Cost(0.5, 0.6, "our synthesis")
    assert recipe.circuit.table == OWN["table"]
    assert [study.own_tables(recipe) for recipe in study.recipes.values()] == [[OWN["table"]]] * 2
    with pytest.raises(WinnowError, match=r"circuit of ptq-.*: circuits/Half Price.npy does not exist; put the file"):
        check_own_files(study)
    bare = asked({"method": "qat", "multiplier": {"table": "x.npy"}}).recipes["qat-table-x"]
    assert built(Recipe, bare).circuit.cost is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OWN | {"powr": 1}, r"recipes.0.multiplier.*: 'powr' says nothing of a circuit; write {table: circuit.npy"),
        ({"power": 0.5}, r"multiplier.*: it has no table; write {table: circuit.npy"),
        ({"table": "x.csv"}, r"multiplier.*table: 'x.csv' does not match a file of NumPy, .npy"),
        ({"table": "a\nb.npy"}, r"table: 'a.*b.npy' is not one line of text"),
        ({"table": f"{'long' * 20}.npy"}, r"has too long a name"),
        ({"table": "__.npy"}, r"'__.npy' has no letter or digit to be named by; rename the file"),
        (OWN | {"power": "much"}, r"power: 'much' is not of type 'number'"),
        (OWN | {"power": 10**400}, r"power: 1000.* is not of type 'number'"),
        (OWN | {"area": 0}, r"area: 0 is less than or equal to the minimum of 0"),
        (OWN | {"source": 3}, r"source: 3 is not of type 'string'; put it in quotes"),
        (OWN | {"area": None}, r"power and area are 0.5 and None; give both"),
        (OWN | {"source": None}, r"say in source where its power and area are from"),
        ([OWN, OWN | {"power": 0.4}], r"are both table-half-price in the names of files; rename one"),
        ("autp", r"'autp' is no family of multipliers"),
    ],
)
def test_a_circuit_that_is_described_badly_is_one_line(value, expected):
    with pytest.raises(WinnowError) as caught:
        asked({"method": "ptq", "multiplier": value})
    (line,) = str(caught.value).splitlines()
    assert re.search(expected, line), line


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (["exact"], r"multipliers.0: exact is always one of them; leave it out"),
        (["auto"], r"'auto' is no family"),
        (["drum-4"], r"the power of drum-4 is not known, so that no layer can save it"),
        ([{"table": "x.npy"}], r"x.npy has no power, so that no layer can save it"),
        (["bam-3-0-0", "bam-3-0-0"], r"multipliers lists 'bam-3-0-0' more than once"),
        ([], r"multipliers: \[\] is empty"),
    ],
)
def test_candidates_that_no_layer_can_have_are_one_line(candidates, expected):
    with pytest.raises(WinnowError) as caught:
        asked({"method": "ptq", "multiplier": "auto"}, multipliers=candidates)
    (line,) = str(caught.value).splitlines()
    assert re.search(expected, line), line


@pytest.mark.parametrize(
    ("recipe", "keys", "expected"),
    [
        (
            {"method": "ptq"},
            {"multipliers": ["bam-3-0-0"]},
            "multipliers has no effect without a recipe with multiplier",
        ),
        (
            {"method": "ptq", "multiplier": "auto"},
            {"drop_before_training": 20},
            "drop_before_training has no effect without a recipe of qat with multiplier: auto; remove it",
        ),
        (
            {"method": "ptq", "multiplier": ["exact", "bam-2-2-0"], "keep_float": ["auto", 1]},
            {},
            "recipes.0: keep_float: auto judges networks that multiply exactly, not with bam-2-2-0; give a number of",
        ),
    ],
)
def test_what_has_no_effect_or_no_meaning_together_is_refused(recipe, keys, expected):
    with pytest.raises(WinnowError, match=expected):
        asked(recipe, **keys)


def test_what_is_trained_through_its_circuits_may_lose_more_before():
    study = asked({"method": ["ptq", "qat"], "multiplier": "auto"}, drop_before_training=20)
    assert study.drop_allowed(study.recipes["qat-multauto"]) == 20
    assert study.drop_allowed(study.recipes["ptq-multauto"]) == 1
    without = asked({"method": "ptq", "multiplier": "auto"}, recommended={"max_accuracy_drop": None})
    assert without.drop_allowed(without.recipes["ptq-multauto"]) is None


@pytest.mark.parametrize(
    ("recommended", "expected"),
    [
        ({"target": "accelerator", "objective": "latency"}, "latency is not known of what runs on an accelerator"),
        ({"objective": "multiplier_power"}, "means nothing here; set recommend.target: accelerator"),
        ({"target": "abacus"}, "is 'abacus', expected one of processor, accelerator"),
    ],
)
def test_what_cannot_be_best_there_is_refused(recommended, expected):
    with pytest.raises(WinnowError, match=expected):
        asked({"method": "ptq"}, recommended=recommended)


def write(path):
    path.parent.mkdir(parents=True)
    noise = {"exact": 0.0, "bam-2-2-0": 0.002}
    Assignment(
        limit=0.01,
        samples=200,
        probed=100,
        floats=Setting(0.1, 0.90, None),
        circuits=(multiplier("exact"), multiplier("bam-2-2-0")),
        layers=(
            AssignedLayer("conv1", "exact", 0.25, noise, CircuitError(0.0, 0.0, 0, 0.0)),
            AssignedLayer("fc", "bam-2-2-0", 0.75, noise, CircuitError(80.5, 0.1226, 765, -64.25)),
        ),
        cost=Cost(0.25 + 0.75 * 0.471, 0.7, EVOAPPROX),
        chosen=1,
        curve=(TriedAssignment(0, 1.0, Setting(0.1, 0.9, 30.0)), TriedAssignment(1, 0.6, Setting(0.1, 0.895, 20.0))),
    ).write(path)
    return path


def test_the_table_has_the_circuit_of_each_layer_and_what_the_network_saves(tmp_path):
    path = write(tmp_path / "d/m/seed0/dense/ptq-multauto/multipliers.json")
    write_csv(tmp_path / "t.csv", collect_assignments([path], tmp_path))
    table = assignment_table(read_assignments(tmp_path / "t.csv"))
    assert list(table.shown["layer"]) == ["conv1", "fc"]
    assert list(table.shown["multiplier"]) == ["exact", "bam-2-2-0"]
    last = table.shown.iloc[1]
    assert (last["its power (%)"], last["MACs (%)"], last["noise (%)"]) == ("47.1", "75.0", "0.2")
    assert tuple(last[["error", "error (%)", "worst", "bias"]]) == ("80.5", "12.3", "765", "-64.2")
    assert table.notes[1].startswith(
        "d/m/seed0, ptq-multauto: 60.32 % of the power of the multiplications, each layer weighted by its MACs "
        f"({EVOAPPROX}); validation accuracy as calibrated 89.50 %, int8 90.00 %, float 90.00 %, 1 point allowed; 2 "
        "assignments tried."
    )
    assert max(map(len, table.markdown().splitlines())) <= 120
    nothing = assignment_table(collect_assignments([], tmp_path))
    assert nothing.markdown() == f"{nothing.nothing}\n"


def test_the_figure_has_the_circuit_of_each_layer_its_share_of_the_macs_and_its_noise(tmp_path):
    layers = collect_assignments([write(tmp_path / "d/m/seed0/dense/ptq-multauto/multipliers.json")], tmp_path)
    with styled():
        figure = layer_multipliers(layers)
        above, below = figure.axes
        assert [bar.get_height() for bar in above.patches] == [25.0, 75.0]
        assert len({bar.get_facecolor() for bar in above.patches}) == 2
        (points,) = [line for line in below.lines if len(line.get_xdata())]
        assert [tuple(point) for point in points.get_xydata()] == [(1.0, 0.2)]
        said = " ".join(notes(figure).split())
        assert "ptq-multauto: 60.3 % of the power" in said
        assert {"exact (100.0 %)", "bam-2-2-0 (47.1 %)"} <= set(above.get_legend_handles_labels()[1])
        with pytest.raises(Missing, match="No layer was given a multiplier yet"):
            layer_multipliers(layers.head(0))


def test_the_table_has_power_where_recipes_differ_in_it():
    table = quantization_table(results())
    assert dict(zip(table.shown["recipe"], table.shown["multiplier power (%)"], strict=True))["ptq-multauto"] == "40.0"
    assert "multiplier power (%)" not in set(quantization_table(results().head(2)).data["metric"])


def network(recipe, multiplier, power, top1, bits=8, **more):
    fp32 = recipe == "fp32"
    row = {"dataset": "d", "model": "m", "seed": 0, "run": "dense", "recipe": recipe}
    row |= {"precision": "fp32" if fp32 else "ptq", "multiplier": None if fp32 else multiplier}
    row |= {"multiplier_power": power, "top1": top1, "validation_top1": top1}
    row |= dict.fromkeys(("weight_bits", "activation_bits"), np.nan if fp32 else bits)
    pruning = ("strategy", "criterion", "scope", "structure", "ratio", "rounds", "rewind", "shuffle", "round")
    row |= dict.fromkeys(pruning) | {"requested_sparsity": 0.0, "achieved_sparsity": 0.0}
    simulated = not fp32 and multiplier != "exact"
    row |= {"size_mb": np.nan if simulated else 1.0, "latency_openvino_b1_t1_ms": np.nan if simulated else 2.0}
    row |= dict.fromkeys(("onnxruntime_failure", "openvino_failure")) | {"onnxruntime_agrees": 1, "openvino_agrees": 1}
    return row | {"openvino_difference": 0.1, "learned": 1, "validation_samples": 100} | more


def results(*more):
    rows = [
        network("fp32", None, np.nan, 0.905),
        network("ptq", "exact", 1.0, 0.90),
        network("ptq-w7a7", "exact", 0.708, 0.899, bits=7),
        network("ptq-w4a4", "exact", exact_cost(4, 4).power, 0.70, bits=4),
        network("ptq-bam-2-2-0", "bam-2-2-0", 0.471, 0.85),
        network("ptq-multauto", "auto", 0.40, 0.898, openvino_agrees=0),
        network("ptq-drum-4", "drum-4", np.nan, 0.90),
        *more,
    ]
    return pd.DataFrame(rows)


def settings(**changes):
    return RecommendSettings.of(asked({"method": "ptq"}, recommended=changes).recommend)


def test_for_an_accelerator_the_least_power_within_the_limits_is_chosen():
    within = settings(target="accelerator", max_accuracy_drop=1.0, max_latency_ms=1e-9, max_size_mb=1e-9)
    (found,) = recommend(results(), within)
    assert found.chosen["recipe"] == "ptq-multauto"  # neither time nor size are asked of it, nor what OpenVINO makes
    admissible = found.candidates.set_index("recipe")["admissible"]
    assert set(admissible[admissible].index) == {"ptq-multauto"}  # ptq is too slow, bam-2-2-0 loses too much
    (found,) = recommend(results(), settings(target="accelerator", max_accuracy_drop=None))
    assert found.chosen["recipe"] == "ptq-w4a4"
    assert not found.candidates.set_index("recipe").loc[["fp32", "ptq-drum-4"], "admissible"].any()
    (found,) = recommend(results(), settings(target="accelerator", objective="accuracy"))
    assert found.chosen["recipe"] == "fp32"
    (found,) = recommend(results(), settings(max_accuracy_drop=1.0))
    assert found.chosen["recipe"] == "fp32"  # as fast as all others here


def test_the_report_says_what_is_recommended_for_an_accelerator_and_why():
    within = settings(target="accelerator", max_latency_ms=1.0)
    table = results()
    (found,) = recommend(table, within)
    (again,) = with_numbers(as_record([found], within), table, within)
    assert again.chosen["recipe"] == found.chosen["recipe"]
    told = ship_text(found, table.iloc[0])
    assert "each layer multiplied by the cheapest circuit that the limit allows" in told
    assert told.endswith(
        "Test accuracy **89.80 %** (dense fp32: 90.50 %), **40.00 % of the power** of exact 8 x 8 multipliers at 45 "
        "nm, without accumulators and memory."
    )
    why = list(reasons(found))
    assert any("has the lowest power of the multiplications;" in reason for reason in why)
    assert any("no size, latency or energy is known, and none was asked" in reason for reason in why)
    (said,) = simulation_words(found.chosen)
    assert "**simulates its multipliers** (auto)" in said
    assert simulation_words(table.iloc[0]) == simulation_words(table.iloc[1]) == []
    study = asked({"method": "ptq"}, recommended={"target": "accelerator", "max_latency_ms": 1.0}).reported()
    page = to_markdown("t", start_page(Outcome(study, table.assign(test_samples=10), [found], [])))
    assert "It is to run on an accelerator, one with the multipliers of the recipes." in page
    assert "multiplier power (%)" in page
    assert "nan" not in page.partition("What came out")[0]


def test_accuracy_is_held_against_the_power_of_multipliers():
    data = multiplier_data(results()).set_index("recipe")
    assert list(data.index) == ["ptq-w4a4", "ptq-multauto", "ptq-bam-2-2-0", "ptq-w7a7", "ptq"]
    assert list(data["kind"]) == [
        "exact, fewer bits",
        "approximate",
        "approximate",
        "exact, fewer bits",
        "exact, 8 x 8 bits",
    ]
    assert list(data["front"]) == [True, True, False, True, True]
    assert data["beaten_by"].isna().all()
    assert data.loc["ptq-w7a7", "source"] == EVOAPPROX
    assert data.loc["ptq-w4a4", "source"].startswith("gate-count model")
    low = multiplier_data(results(network("ptq-w5a5", "exact", 0.3, 0.899, bits=5))).set_index("recipe")
    assert set(low["beaten_by"].dropna()) == {"ptq-w5a5"}


def notes(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))


def test_the_figure_says_where_power_is_from_and_whether_plain_low_bits_dominate():
    with styled():
        figure = multiplier_power(results())
        (axes,) = figure.axes
        shown = {tuple(np.round(point, 2)) for dots in axes.collections for point in np.asarray(dots.get_offsets())}
        assert {(47.1, 85.0), (40.0, 89.8), (100.0, 90.0), (70.8, 89.9)} <= shown
        said = " ".join(notes(figure).split())
        assert f"Power of exact n x m multipliers: {EVOAPPROX} and a gate-count model" in said
        assert "0 of 2 circuits are no better than exact multipliers of fewer bits." in said
        better = results(network("ptq-w5a5", "exact", 0.3, 0.899, bits=5))
        assert "Plain low bits dominate:" in " ".join(notes(multiplier_power(better)).split())
        with pytest.raises(Missing, match="Fewer than two networks have multipliers of known power"):
            multiplier_power(results().head(2))
