"""The grid of quantization recipes: what it expands to, how they are called, and what is refused."""

import itertools
import re

import pandas as pd
import pytest
from matplotlib.colors import to_rgba

import records
from samples import REPOSITORY
from studies import configuration, tables, write_study
from winnow.analysis.parallel import coordinates, parallel_data
from winnow.analysis.recommendation import as_record, recommend
from winnow.config.check_request import check_request
from winnow.config.recommend import RecommendSettings
from winnow.config.resolve import resolve
from winnow.config.settings import CheckSettings
from winnow.config.typed import built
from winnow.errors import WinnowError
from winnow.figures.layer_sqnr import layer_sqnr
from winnow.figures.looks import recipe_looks
from winnow.figures.quantization_bars import quantization_bars
from winnow.figures.style import styled
from winnow.figures.training_curves import training_curves
from winnow.quantize import calibration, observers
from winnow.report.blocks import Table, to_markdown
from winnow.report.findings import findings
from winnow.report.pruning_table import pruning_table
from winnow.report.quantization_table import quantization_table
from winnow.report.start_page import Outcome, start_page
from winnow.results.collect import collect
from winnow.results.recipe_words import FEWER_BITS, axis_words, recipe_words
from winnow.results.recipes import by_method, recipes_of
from winnow.results.wording import saturation_words
from winnow.study import recipe_axes
from winnow.study.artifacts import networks
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import RECIPE_AXES
from winnow.study.recipes import expand, simulated, slug
from winnow.study.vocabulary import PRECISIONS, QUANTIZED

GRID = [
    {"method": "ptq", "observer": ["histogram", "minmax"], "weight_bits": [8, 6, 4], "correction": ["none", "bias"]},
    {"method": "ptq", "rounding": "adaround", "weight_bits": [4, 3], "weights": ["per_channel", "per_tensor"]},
    {"method": ["ptq", "qat"], "weight_bits": [8, 4], "activation_bits": [8, 6]},
    {"method": ["dynamic", "qat"], "overflow": "safe"},
]
"""24 recipes beside fp32."""
VALUES = {
    "observer": list(recipe_axes.OBSERVERS),
    "calibration_samples": [2, 256],
    "weight_bits": list(range(2, 9)),
    "activation_bits": list(range(4, 9)),
    "weights": list(recipe_axes.GRANULARITIES),
    "correction": list(recipe_axes.CORRECTIONS),
    "rounding": list(recipe_axes.ROUNDINGS),
    "keep_float": [0, 1, 12, recipe_axes.AUTO],
    "overflow": list(recipe_axes.OVERFLOWS),
    "distill": [0, 0.5, 1],
    "multiplier": ["exact", "bam-2-0-5", "drum-4", "roba", recipe_axes.AUTO],
    "circuit_error": list(recipe_axes.CIRCUIT_ERRORS),
}
CIRCUITS = ("multiplier", "circuit_error")


def asked(**quantization):
    return resolve(configuration(pruning=None, quantization=quantization))


def slugs(*recipes, **keys) -> list[str]:
    return sorted(asked(recipes=list(recipes), **keys).recipes)


def test_the_short_form_has_the_names_it_always_had():
    assert list(asked().recipes) == list(asked(methods=["qat", "ptq", "dynamic"]).recipes) == ["dynamic", "ptq", "qat"]
    assert list(asked(methods=[]).recipes) == []
    chosen = asked(methods=["ptq"], ptq={"observer": "minmax", "calibration_samples": 32}).recipes
    assert list(chosen) == ["ptq"]
    assert built(Recipe, chosen["ptq"]) == Recipe("ptq", observer="minmax", calibration_samples=32)


def test_a_name_tells_where_a_recipe_differs_from_the_default():
    assert slugs({"method": "ptq", "observer": ["histogram", "minmax"]}) == ["ptq", "ptq-minmax"]
    assert slugs({"method": "ptq", "observer": ["histogram", "minmax"]}, ptq={"observer": "minmax"}) == [
        "ptq",
        "ptq-histogram",
    ]
    every = {"observer": "percentile", "calibration_samples": 256, "weight_bits": 4, "activation_bits": 6}
    every |= {"weights": "per_tensor", "correction": "bias", "rounding": "adaround", "keep_float": 2}
    every |= {"overflow": "safe"}
    assert slugs({"method": "ptq"} | every) == ["ptq-percentile-n256-w4a6-tensor-bias-adaround-keep2-safe"]
    assert slugs({"method": "qat", "activation_bits": 4, "weight_bits": 8}) == ["qat-a4"]
    assert slugs({"method": "ptq", "keep_float": "auto"}) == ["ptq-keepauto"]
    assert slugs({"method": "qat", "distill": [0, 0.5]}) == ["qat", "qat-distill0.5"]
    assert slugs({"method": "qat", "distill": [0, 0.5]}, qat={"distill": {"weight": 0.5}}) == ["qat", "qat-distill0"]


def test_methods_and_recipes_stand_together_and_recipes_alone_are_all():
    assert slugs({"method": "ptq", "weight_bits": 4}) == ["ptq-w4"]
    assert slugs({"method": "ptq", "weight_bits": 4}, methods=["ptq", "qat"]) == ["ptq", "ptq-w4", "qat"]
    assert slugs({"method": "ptq"}, {"method": "ptq", "weight_bits": [8, 4]}, methods=["ptq"]) == ["ptq", "ptq-w4"]


def test_circuits_stand_in_names_and_their_error_only_where_there_is_one():
    entry = {"method": ["dynamic", "ptq", "qat"], "multiplier": ["exact", "bam-1-0-3"]}
    assert slugs(entry | {"circuit_error": ["corrected", "left"]}) == [
        "dynamic",
        "ptq",
        "ptq-bam-1-0-3",
        "ptq-bam-1-0-3-left",
        "qat",
        "qat-bam-1-0-3",
    ]
    assert simulated(asked(recipes=[entry]).recipes) == {"ptq-bam-1-0-3", "qat-bam-1-0-3"}


def test_what_leads_to_the_same_file_is_made_once():
    """An axis that a method does not use is dropped for it."""
    assert slugs({"method": ["dynamic", "ptq", "qat"], "observer": ["minmax", "entropy"], "weight_bits": [8, 4]}) == [
        "dynamic",
        "ptq-entropy",
        "ptq-entropy-w4",
        "ptq-minmax",
        "ptq-minmax-w4",
        "qat",
        "qat-w4",
    ]


def test_names_of_different_recipes_differ_and_are_short_enough_for_a_path():
    default = Recipe("ptq", observer="minmax", calibration_samples=256)
    others = {axis: values for axis, values in VALUES.items() if axis not in CIRCUITS}
    found = expand([{"method": ["dynamic", "ptq", "qat"]} | others], default)
    assert len(found) == len(set(found.values())) == 2 * 2 + 5 * 2 * 7 * 5 * 2 * 3 * 2 * 4 * 2 + 7 * 5 * 2 * 2 * 3
    assert {slug(recipe, default) for recipe in found.values()} == set(found)
    assert max(map(len, found)) < 80
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) for name in found)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"method": "qat", "observer": "minmax"},
            r"quantization.recipes.0.observer means nothing to qat; remove it, or add to method one that has it: ptq$",
        ),
        (
            {"method": ["dynamic", "qat"], "rounding": "adaround"},
            r"recipes.0.rounding means nothing to dynamic and qat;",
        ),
        ({"method": "dynamic", "weight_bits": 4}, r"recipes.0.weight_bits means nothing to dynamic; .* it: ptq, qat$"),
        ({"observer": "minmax"}, r"key 'quantization.recipes.0.method' is missing"),
        (
            {"method": "int4"},
            r"quantization.recipes.0.method.* is 'int4', expected one of bf16, .*ptq, qat",
        ),
        ({"method": "ptq", "weight_bits": 1}, r"recipes.0.weight_bits.*: 1 is less than the minimum of 2"),
        ({"method": "ptq", "activation_bits": [8, 3]}, r"recipes.0.activation_bits.*: 3 is less than the minimum of 4"),
        ({"method": "ptq", "weight_bits": []}, r"recipes.0.weight_bits: \[\] is empty; give at least one"),
        ({"method": "ptq", "weigth_bits": 4}, r"'quantization.recipes.0.weigth_bits'; did you mean 'weight_bits'\?"),
        ({"method": "ptq", "keep_float": "autp"}, r"keep_float.* is 'autp', expected one of auto.*did you mean 'auto'"),
        ({"method": "ptq", "overflow": ["safe", "safe"]}, r"recipes.0.overflow lists 'safe' more than once"),
        (
            {"method": "dynamic", "multiplier": "roba"},
            r"0.multiplier means nothing to dynamic; .* it: ptq, qat$",
        ),
        (
            {"method": "ptq", "multiplier": "bam-1-1"},
            r"recipes.0.multiplier.*: multiplier 'bam-1-1': write bam-h-r-v with whole numbers$",
        ),
        ({"method": "ptq", "multiplier": "brum-3"}, r"'brum' is no family of multipliers \(did you mean 'drum'\?\)"),
        (
            {"method": "ptq", "multiplier": ["exact", "mitchell"]},
            r"no ordinary operators of a file compute mitchell; name one of exact, bam-h-r-v, drum-k, roba$",
        ),
        ({"method": "ptq", "multiplier": 4}, r"recipes.0.multiplier.*: 4 is not of type 'string'"),
        ({"method": "ptq", "circuit_error": "none"}, r"is 'none', expected one of corrected, left"),
        (
            {"method": "ptq", "calibration_samples": [64, 5000]},
            r"quantization.recipes.0.calibration_samples is 5000, but the training split of datasets.shapes has about",
        ),
        (
            {"method": "ptq", "calibration_samples": list(range(2, 1100))},
            r"quantization.recipes has 1,098 combinations, more than 1,000; shorten its lists",
        ),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line(entry, expected):
    with pytest.raises(WinnowError) as caught:
        asked(recipes=[entry])
    (line,) = str(caught.value).splitlines()
    assert line.startswith("configuration: ")
    assert re.search(expected, line), line


def test_what_leaves_layers_in_float_is_measured_once_without():
    entry = {"method": "ptq", "weight_bits": [8, 4], "keep_float": [0, 1, 2, "auto"]}
    study = asked(recipes=[entry])
    assert sorted(study.probed) == ["ptq", "ptq-w4"]
    assert {slug: study.unspared(recipe) for slug, recipe in study.recipes.items()} == {
        f"{base}{keep}": base for base in ("ptq", "ptq-w4") for keep in ("", "-keep1", "-keep2", "-keepauto")
    }
    assert list(asked(recipes=[{"method": "ptq", "observer": "minmax", "keep_float": 1}]).probed) == ["ptq-minmax"]
    circuits = {"method": "ptq", "keep_float": 1, "multiplier": ["bam-2-2-0", "auto"], "circuit_error": "left"}
    study = asked(recipes=[circuits])
    assert list(study.probed) == ["ptq"]
    assert [study.unspared(recipe) for recipe in study.recipes.values()] == ["ptq", "ptq"]
    assert list(asked().probed) == []
    assert list(asked(sensitivity=True).probed) == list(asked(methods=["qat"], sensitivity=True).probed) == ["ptq"]
    minmax = {"method": "ptq", "observer": "minmax"}
    assert list(asked(recipes=[minmax], sensitivity=True).probed) == ["ptq-minmax"]


def test_more_files_than_can_be_planned_are_refused():
    with pytest.raises(WinnowError, match=r"quantizes 1,000 networks by 502 recipes, .* more than 300,000 files"):
        resolve(
            configuration(
                pruning=None,
                seeds=list(range(1000)),
                quantization={
                    "methods": ["dynamic", "qat"],
                    "recipes": [{"method": "ptq", "calibration_samples": [*range(2, 502)]}],
                },
            )
        )


def test_values_of_the_command_line_are_text_and_understood():
    given = {"method": "ptq", "weight_bits": ["8", "4"], "calibration_samples": "64", "keep_float": "1"}
    assert slugs(given) == ["ptq-n64-keep1", "ptq-n64-w4-keep1"]


def test_a_recipe_that_chooses_no_distillation_has_that_of_the_network():
    quantization = {"methods": ["qat"], "recipes": [{"method": "qat", "distill": [0, 0.5]}]}
    quantization |= {"qat": {"distill": {"weight": 0.3}}}
    models = {"lenet5": {}, "own": {"name": "lenet5", "qat": {"distill": {"weight": 0.7, "temperature": 2}}}}
    study = resolve(configuration(pruning=None, models=models, quantization=quantization))
    found = {
        (model, slug): study.aware(model, recipe)["distill"]
        for model in models
        for slug, recipe in study.recipes.items()
    }
    assert found == {
        ("lenet5", "qat"): {"temperature": 4, "weight": 0.3},
        ("lenet5", "qat-distill0"): None,
        ("lenet5", "qat-distill0.5"): {"temperature": 4, "weight": 0.5},
        ("own", "qat"): {"temperature": 2, "weight": 0.7},
        ("own", "qat-distill0"): None,
        ("own", "qat-distill0.5"): {"temperature": 2, "weight": 0.5},
    }


def test_24_recipes_of_3_strategies_are_a_study_whose_files_are_apart():
    pruning = {"ratio": [0.5, 0.8, 0.9]}
    study = resolve(configuration(seeds=[0], pruning=pruning, quantization={"recipes": GRID, "apply_to": "last"}))
    assert len(study.recipes) == 24
    found = list(networks(study.reported()))
    assert len(found) == len({network.folder for network in found}) == (1 + 3) * (1 + 24)
    assert {network.precision for network in found} == {"fp32", *QUANTIZED}
    assert all((network.recipe == "fp32") == (network.precision == "fp32") for network in found)
    trained = [network for network in found if network.recipe.startswith("qat") and network.run == "dense"]
    assert len({network.history for network in trained}) == len(trained) > 4


def test_one_recipe_of_each_method_is_tried_before_training():
    """The first, as cheap as it can be, with as many images as any needs."""
    entries = [{"method": "ptq", "correction": "bias", "rounding": "adaround", "calibration_samples": [64, 128]}]
    study = asked(methods=["qat"], recipes=[*entries, {"method": "ptq", "weight_bits": 4}])
    (ptq, qat) = CheckSettings.of(check_request(study, "shapes", "lenet5")).recipes
    assert ptq == Recipe("ptq", correction="bias", calibration_samples=1024)  # of `ptq-n128-bias-adaround`
    assert qat == Recipe("qat")
    assert CheckSettings.of(check_request(asked(recipes=entries), "shapes", "lenet5")).qat is None


@pytest.mark.parametrize(("axis", "value"), [(axis, value) for axis, values in VALUES.items() for value in values])
def test_every_value_of_an_axis_can_be_asked_told_and_looked_up(axis, value):
    """What computes with a value is held by the tests of `quantize`, its line in the guide by test_recipe_axes."""
    methods = [name for name, word in PRECISIONS.items() if axis in word.axes]
    assert methods
    for method in methods:
        chosen = ({"multiplier": "roba"} if axis == "circuit_error" else {}) | {axis: value}
        (recipe,) = asked(recipes=[{"method": method} | chosen]).recipes.values()
        assert built(Recipe, recipe) == Recipe(method, **chosen)
        row = pd.Series({"precision": method} | Recipe(method, **chosen).axes)
        told = recipe_words(row)
        assert told.startswith(PRECISIONS[method].meaning)
        assert (axis_words(axis, value) in told) == (value != getattr(Recipe(method), axis))
    assert f"| `{axis}` |" in (REPOSITORY / "config/README.md").read_text()


def test_every_axis_has_its_values_here_and_is_in_the_guide_of_results():
    assert set(VALUES) == set(RECIPE_AXES)
    guide = (REPOSITORY / "results/README.md").read_text()
    assert all(f"`{axis}`" in guide for axis in RECIPE_AXES)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The tables of a study of 24 recipes and of three strategies."""
    root = tmp_path_factory.mktemp("grid")
    config = configuration(
        seeds=[0, 1], pruning={"ratio": [0.5, 0.8, 0.9]}, quantization={"recipes": GRID, "apply_to": "last"}
    )
    return root, write_study(root, config)


def test_the_tables_have_a_row_for_each_recipe_method_by_method(grid):
    results = tables(*grid).results
    table = quantization_table(results)
    assert len(table.shown) == 25
    assert list(dict.fromkeys(table.shown["method"])) == ["base", "dynamic", "ptq", "qat"]
    assert list(table.shown["recipe"][:3]) == ["fp32", "dynamic-safe", "ptq"]
    assert all(len(list(rows)) == 1 for _, rows in itertools.groupby(table.shown["recipe"]))
    sizes = table.data[table.data["recipe"] == "ptq-w4"].set_index("metric")["mean"]
    assert sizes["model size, packed (MB)"] == pytest.approx(sizes["model size (MB)"] / 2, rel=1e-3)
    assert table.shown.set_index("recipe").loc["ptq", "packed (MB)"] == ""
    assert FEWER_BITS in table.notes
    assert max(map(len, table.markdown().splitlines())) <= 120
    rows = table.data[table.data["metric"] == "top-1 accuracy (%)"].set_index("recipe")
    own = 100 * results[(results["run"] == "dense") & (results["recipe"] == "qat-w4")]["top1"]
    assert rows.loc["qat-w4", "mean"] == pytest.approx(own.mean())
    assert rows.loc["qat-w4", "method"] == "qat"
    assert FEWER_BITS in pruning_table(results).notes
    pruned = pruning_table(results).shown
    assert len(pruned) == 25 * 4
    assert list(dict.fromkeys(pruned["recipe"])) == list(table.shown["recipe"])


def test_results_say_how_each_network_was_quantized_and_compare_it_with_its_like(grid):
    results = tables(*grid).results
    row = results[(results["recipe"] == "ptq-minmax-w6-bias") & (results["run"] != "dense")].iloc[0]
    assert (row["observer"], row["weight_bits"], row["correction"]) == ("minmax", 6, "bias")
    dense = results[(results["recipe"] == row["recipe"]) & (results["run"] == "dense")].set_index("seed")
    assert row["top1_change"] == pytest.approx(row["top1"] - dense.loc[row["seed"], "top1"])
    assert results[results["precision"] == "fp32"][list(RECIPE_AXES)].isna().all(axis=None)
    assert results[results["precision"] == "qat"]["observer"].isna().all()


def test_figures_of_many_recipes_tell_them_apart_by_method(grid):
    found = tables(*grid)
    recipes = recipes_of(found.results)
    assert list(by_method(recipes)) == ["fp32", *QUANTIZED]
    with styled():
        bars = quantization_bars(found.results)
        panels = [axes for axes in bars.axes if axes.get_visible()]
        assert len(panels) == 4
        assert [label.get_text() for label in panels[0].get_yticklabels()] == list(recipes)
        colors = [bar.get_facecolor() for container in panels[0].containers for bar in container]
        assert colors == [to_rgba(word.color) for word in recipes.values()]
        lines = layer_sqnr(found.layers)
        assert [axes.get_legend().get_title().get_text() for axes in lines.axes] == ["dynamic", "ptq", "qat"]
        shown = [text.get_text() for axes in lines.axes for text in axes.get_legend().texts]
        assert shown == [recipe for recipe in recipes if recipe != "fp32"]
        assert training_curves(found.history).axes[0].get_legend().texts[0].get_text() == "fp32"
    looks = recipe_looks(found.results)
    alike = [[looks.markers[name] for name in names[:8]] for names in by_method(recipes).values()]
    assert all(len(set(markers)) == len(markers) for markers in alike)


def test_coordinates_have_the_axes_that_vary(grid):
    root, study = grid
    settings = RecommendSettings.of(study["recommend"])
    everything = parallel_data(tables(root, study).results, settings)
    axes = {axis.column: axis.choices for axis in coordinates(everything, everything)}
    assert axes["weight_bits"] == ("-", "3", "4", "6", "8")
    assert axes["observer"] == ("-", "histogram", "minmax")
    assert axes["overflow"] == ("-", "fast", "safe")
    assert "calibration_samples" not in axes
    assert "keep_float" not in axes


def test_the_report_says_the_best_of_each_method_and_counts_the_recipes(grid):
    root, study = grid
    results = tables(root, study).results
    settings = RecommendSettings.of(study["recommend"])
    (found,) = [text for text in findings(results, settings) if "without pruning" in text]
    assert "the most accurate of 18 recipes of ptq, `ptq" in found
    chosen = recommend(results, settings)
    page = start_page(Outcome(study, results, chosen, []))
    text = to_markdown("t", page)
    assert "quantized (24 recipes)" in text
    assert re.search(r"ptq: int8 weights and activations, .*; as ptq, ptq-", text)
    (table,) = [block for block in page if isinstance(block, Table) and "within limits" in block.frame]
    assert len(table.frame) <= 1 + 1 + 6 + 3
    assert {(judged.run, judged.recipe) for judged in as_record(chosen, settings).choices[0].candidates} == {
        (network.run, network.recipe) for network in networks(study)
    }


def test_what_may_saturate_elsewhere_is_told_and_safe_recipes_are_not(grid):
    results = tables(*grid).results
    layers = results.groupby("recipe")["saturating_layers"].first()
    assert layers["ptq"] == 1
    assert layers["qat-safe"] == layers["dynamic-safe"] == 0
    assert pd.isna(results.loc[results["recipe"] == "fp32", "saturating_layers"]).all()
    (told,) = saturation_words(results)
    assert told.startswith("**Other answers on older processors**: in up to 1 layer of `ptq`, `ptq-a6`, `ptq-")
    assert told.endswith("A recipe with `overflow: safe` is right on all.")
    assert saturation_words(results[results["recipe"].isin(["fp32", "qat-safe"])]) == []


@pytest.mark.parametrize(
    ("implemented", "words"),
    [(observers.OBSERVERS, recipe_axes.OBSERVERS), (calibration.ROUNDINGS, recipe_axes.ROUNDINGS)],
)
def test_every_word_of_an_axis_has_what_computes_with_it(implemented, words):
    assert set(implemented) == set(words)


def test_what_is_of_8_bits_has_no_other_size(tmp_path):
    records.quality(precision="ptq").write(tmp_path / "quality.json")
    assert collect([tmp_path / "quality.json"], [], {})["packed_mb"].isna().all()
