"""The data of the figures against results.csv, and figures of studies in which something is missing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from samples import REPOSITORY
from studies import configuration, tables, wanted_figures, write_study
from winnow.analysis.confusion import confusion_difference_data
from winnow.analysis.front import cost_column, pareto_data
from winnow.analysis.layers import layer_sparsity_data, layer_sqnr_data
from winnow.analysis.parallel import parallel_data
from winnow.analysis.pruning import (
    accuracy_sparsity_data,
    accuracy_sparsity_seeds,
    one_shot_iterative_data,
    rewinding_data,
    speedup_data,
    strategies_in_panels,
)
from winnow.analysis.quantization import quantization_bars_data
from winnow.analysis.training import retraining_data, training_curves_data
from winnow.config.recommend import RecommendSettings
from winnow.errors import WinnowError
from winnow.figures.accuracy_sparsity import accuracy_sparsity
from winnow.figures.catalog import FIGURES, PRUNED
from winnow.figures.draw import draw_figures, read_tables
from winnow.figures.interactive import parallel_plot
from winnow.figures.layer_sqnr import layer_sqnr
from winnow.figures.parallel import parallel_static
from winnow.figures.pareto import pareto
from winnow.figures.quantization_bars import quantization_bars
from winnow.figures.training_curves import training_curves
from winnow.results.csv_files import read_csv, write_csv
from winnow.results.not_measured import Missing
from winnow.study.vocabulary import PRECISIONS, QUANTIZED

DENSE_FP32 = ("dense", "fp32")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with three seeds: its configuration, and its tables as they are read from the CSV files."""
    root = tmp_path_factory.mktemp("study")
    resolved = write_study(root, configuration())
    found = tables(root, resolved)
    paths = [root / f"{name}.csv" for name in ("results", "layers", "confusion", "history")]
    for path in paths:
        write_csv(path, getattr(found, path.stem))
    return resolved, read_tables(*paths)


@pytest.fixture(scope="module")
def results(study) -> pd.DataFrame:
    return study[1].results


@pytest.fixture(scope="module")
def settings(study) -> RecommendSettings:
    return RecommendSettings.of(study[0]["recommend"])


def rows(results, run, precision="fp32"):
    return results[(results["run"] == run) & (results["precision"] == precision)]


def curves(axes) -> list:
    """Return the lines of a lineplot, without those straight across, ends of error bars and keys of the legend."""
    return [line for line in axes.lines if line.get_linestyle() != "None" and len(line.get_xdata()) > 2]


def test_bars_are_means_over_seeds_of_the_dense_network(results):
    data = quantization_bars_data(results)
    seeds = data.groupby(["metric", "precision"]).size()
    assert seeds["latency_openvino_b64_t1_ms"].to_dict() == dict.fromkeys(["fp32", *QUANTIZED], 3)
    assert ("latency_torch_b1_t1_ms", "ptq") not in seeds.index
    figure = quantization_bars(results)
    panels = {panel.get_title(loc="left"): panel for panel in figure.axes if panel.get_visible()}
    assert not any("torch" in title for title in panels)
    for title, column, factor in (("top-1 accuracy (%)", "top1", 100), ("model size (MB)", "size_mb", 1)):
        bars = [bar for container in panels[title].containers for bar in container]
        for bar, precision in zip(bars, ["fp32", *QUANTIZED], strict=True):
            values = factor * rows(results, "dense", precision)[column]
            assert bar.get_width() == pytest.approx(values.mean())
            assert bar.get_hatch() == PRECISIONS[precision].hatch
    values = 100 * rows(results, "dense", "ptq")["top1"]
    texts = {text.get_text() for text in panels["top-1 accuracy (%)"].texts}
    assert f"{values.mean():.2f} ± {values.std(ddof=1):.2g}" in texts


def test_a_point_of_accuracy_and_sparsity_is_a_strategy_after_its_last_round(results):
    data = accuracy_sparsity_data(results)
    assert len(data) == results[results["run"] != "dense"]["strategy"].nunique()
    point = data[(data["criterion"] == "l1") & (data["rounds"] == 3) & (data["rewind"] == "init")]
    point = point[point["ratio"] == 0.8].iloc[0]
    values = rows(results, "l1-global-unstructured-0.8-x3-init/round3")
    assert (point["mean"], point["std"]) == (
        pytest.approx(100 * values["top1"].mean()),
        pytest.approx(100 * values["top1"].std(ddof=1)),
    )
    assert (point["n"], point["sparsity"]) == (3, pytest.approx(80))
    assert point["series"] == "l1, unstructured, 3 rounds, rewind init"


def test_every_strategy_is_a_line_of_a_panel_that_can_be_read(results):
    data = strategies_in_panels(accuracy_sparsity_seeds(results))
    assert data["series"].nunique() > 8
    assert data.groupby("panel")["line"].nunique().max() <= 8
    assert data.groupby(["panel", "line"])["series"].nunique().max() == 1
    assert set(data["criterion"][data["control"]]) == {"random"}
    panels = {panel.get_title(): panel for panel in accuracy_sparsity(results).axes if panel.get_visible()}
    assert panels.keys() == set(data["panel"])
    for name, panel in panels.items():
        own = data[data["panel"] == name]
        for line, (_, points) in zip(curves(panel), own.groupby("line", sort=False), strict=True):
            means = points.groupby("sparsity")["accuracy"].mean()
            assert list(line.get_ydata()) == pytest.approx(list(means))


def test_a_comparison_has_what_is_compared_in_one_panel(results):
    data = strategies_in_panels(rewinding_data(results), "rewind")
    assert set(data["line"]) == {"rewind init", "rewind epoch2"}
    assert (data.groupby("panel")["line"].nunique() == 2).all()
    alone = strategies_in_panels(one_shot_iterative_data(results), "rounds")
    assert set(alone["panel"]) == {"rewind init", "rewind epoch2"}


def test_comparisons_hold_only_what_can_be_compared(results):
    assert set(one_shot_iterative_data(results)["rounds"]) == {1, 3}
    assert set(one_shot_iterative_data(results)["structure"]) == {"unstructured"}
    assert set(one_shot_iterative_data(results)["criterion"]) == {"l1"}
    assert set(rewinding_data(results)["rewind"]) == {"init", "epoch2"}


def test_speedups_are_those_of_the_table(results):
    data = speedup_data(results)
    run = "l1-global-channels-0.5-x1-epoch2/round1"
    point = data[(data["run"] == run) & data["configuration"].str.startswith("OpenVINO")].iloc[0]
    values = rows(results, run)
    assert point["measured"] == pytest.approx(values["speedup_openvino_b64_t1"].mean())
    assert point["theoretical"] == pytest.approx(values["theoretical_speedup"].mean())
    assert set(data["configuration"].str.extract(r"batch (\d+)")[0]) == {"64"}


def three_digits(value: float) -> float:
    return float(f"{value:.3g}")


@pytest.mark.parametrize("kind", ["size", "latency", "energy"])
def test_nothing_beats_the_front_and_everything_else_is_beaten(results, settings, kind):
    column, label = cost_column(results, kind, settings)
    data = pareto_data(results, column)
    assert len(data) == len(results.groupby(["run", "precision"]))
    means = results.groupby(["run", "precision"])[["top1", column]].mean()
    shown = means[column].map(three_digits)
    for row in data.itertuples():
        own = means.loc[(row.run, row.precision)]
        assert (row.top1, row.cost) == (pytest.approx(own["top1"]), pytest.approx(own[column]))
        as_good = (means["top1"] >= own["top1"]) & (shown <= three_digits(own[column]))
        better = as_good & ((means["top1"] > own["top1"]) | (shown < three_digits(own[column])))
        assert row.front != better.any(), row.name
    assert {"size": "(MB)", "latency": "OpenVINO, batch 1", "energy": "estimate"}[kind] in label


def test_every_network_of_a_crowded_front_has_its_number_in_the_key(results, settings):
    """Two that lie on one another share a label."""
    column, _ = cost_column(results, "latency", settings)
    means = results.groupby(["run", "precision"])["top1"].mean().sort_values()
    near = dict(zip(means.index[-3:], (1.00, 1.01, 3.00), strict=True))  # the most accurate ones, ever slower
    keys = pd.Series(list(zip(results["run"], results["precision"], strict=True)), index=results.index)
    crowded = results.assign(**{column: keys.map(near).fillna(9.0)})
    assert pareto_data(crowded, column)["front"].sum() == 3
    figure = pareto(crowded, "latency", settings)
    labels = [text.get_text() for text in figure.axes[0].texts]
    (key,) = [text.get_text() for text in figure.texts]
    assert labels == ["1, 2", "3"]
    assert [line[:2] for line in key.splitlines()[:4]] == ["1 ", "2 ", "3 ", "Me"]


def test_costs_that_look_the_same_are_the_same(results, settings):
    """Four bytes more are no reason to call a network beaten in size, nor to stretch the axis over them."""
    sizes = 1 + 1e-6 * np.arange(len(results))
    same = results.assign(size_mb=sizes)
    front = pareto_data(same, "size_mb")
    assert front["front"].sum() == 1
    assert front.loc[front["front"], "top1"].item() == front["top1"].max()
    low, high = pareto(same, "size", settings).axes[0].get_xlim()
    assert high - low == pytest.approx(0.1, rel=1e-3)
    assert "size (MB)" not in {axis["label"] for axis in parallel_plot(same, settings, None)["data"][0]["dimensions"]}


def test_layers_are_means_over_seeds(study):
    layers, results = study[1].layers, study[1].results
    sqnr = layer_sqnr_data(layers).set_index(["precision", "layer", "seed"])["value"].sort_index()
    assert sqnr["ptq", "conv2"].to_dict() == pytest.approx({0: 35, 1: 34, 2: 33})
    axes = layer_sqnr(layers).axes[0]
    assert [list(line.get_ydata()) for line in curves(axes)] == [pytest.approx([39, 34, 29])] * 3
    bars = [segment for container in axes.containers for segment in container[2][0].get_segments()]
    assert {tuple(bar[:, 1].round(6)) for bar in bars} == {(28, 30), (33, 35), (38, 40)}
    assert [text.get_text() for text in axes.figure.legends[0].texts] == ["dynamic", "ptq", "qat"]
    wide = layer_sparsity_data(layers, results)
    assert list(wide.columns) == ["conv1", "conv2", "fc"]
    assert wide.loc["l1 channels init 90 %, one-shot", "fc"] == pytest.approx(90)
    assert len(wide) == len(accuracy_sparsity_data(results))


def test_the_confusion_difference_is_int8_minus_fp32(study):
    confusion = study[1].confusion
    precision, data = confusion_difference_data(confusion)
    totals = confusion.groupby(["precision", "true_class", "predicted_class"])["count"].sum()
    for true in data.index:
        for predicted in data.columns:
            expected = totals.get((precision, true, predicted), 0) - totals.get(("fp32", true, predicted), 0)
            assert data.loc[true, predicted] == expected
    assert data.to_numpy().sum() == 0


def test_training_curves_are_means_over_seeds(study):
    data = training_curves_data(study[1].history).set_index(["run", "precision", "epoch"])
    assert data.loc[("dense", "fp32", 4), "accuracy"].tolist() == pytest.approx([85] * 3)
    assert set(data.loc[("dense", "qat", 5), "seed"]) == {0, 1, 2}
    above, below = training_curves(study[1].history).axes
    assert above.lines[0].get_ydata()[3] == pytest.approx(85)
    rounds = retraining_data(training_curves_data(study[1].history))
    median = rounds[(rounds["round"] == 1) & (rounds["epoch"] == rounds["epoch"].max())]["accuracy"].median()
    assert below.lines[0].get_ydata()[-1] == pytest.approx(median)
    assert "round 3 (6 strategies)" in {text.get_text() for text in below.get_legend().texts}


def test_parallel_coordinates_show_every_network_in_its_view(results, settings):
    everything = parallel_data(results, settings)
    count = len(results.groupby(["run", "precision"]))
    assert len(everything) == count
    lowest, highest = (parallel_data(results, settings, view) for view in ("lowest", "highest"))
    assert len(lowest) == len(highest) == round(count / 4)
    assert lowest["top1"].max() <= highest["top1"].min()
    assert set(parallel_data(results, settings, "one-shot")["rounds"]) == {1}
    assert set(parallel_data(results, settings, "iterative")["rounds"]) == {3}
    row = everything[(everything["run"] == "dense") & (everything["precision"] == "ptq")].iloc[0]
    assert row["latency"] == pytest.approx(rows(results, "dense", "ptq")["latency_openvino_b1_t1_ms"].mean())


def test_a_line_breaks_where_nothing_was_measured(results, settings):
    worst = results.groupby(["run", "precision"])["top1"].mean().idxmin()
    keys = pd.Series(list(zip(results["run"], results["precision"], strict=True)), index=results.index)
    lost = results["latency_openvino_b1_t1_ms"].mask(keys == worst)
    figures = [parallel_static(table, settings) for table in (results, results.assign(latency_openvino_b1_t1_ms=lost))]
    whole, broken = ([line for line in figure.axes[0].lines if len(line.get_xdata())] for figure in figures)
    assert len(broken) == len(whole) + 1


def test_the_interactive_plot_holds_the_same_numbers_on_axes_that_can_be_brushed(results, settings):
    plot = parallel_plot(results, settings, None)["data"][0]
    data = parallel_data(results, settings)
    assert plot["type"] == "parcoords"
    dimensions = {entry["label"]: entry for entry in plot["dimensions"]}
    assert dimensions["top-1 (%)"]["values"] == pytest.approx(list(100 * data["top1"]), abs=1e-4)
    assert np.allclose(plot["line"]["color"], 100 * data["top1"])
    precision = dimensions["precision"]
    assert [precision["ticktext"][int(code)] for code in precision["values"]] == list(data["precision"])


PLAIN = {entry.name for entry in FIGURES if entry.needs in ("", PRUNED)}


def drawn(root: Path, config, without=lambda _: False):
    """Draw every figure of a study; return its names and what could not be drawn."""
    resolved = write_study(root, config, without)
    found = tables(root, resolved)
    write_csv(root / "results.csv", found.results)
    found = type(found)(read_csv(root / "results.csv"), found.layers, found.confusion, found.history)
    settings = RecommendSettings.of(resolved["recommend"])
    wanted = wanted_figures(resolved)
    undrawn = draw_figures(found, wanted, settings, {}, root / "figures")
    names = wanted[0][2]
    for name in names:
        for suffix in (".svg", ".png"):
            assert (root / f"figures/shapes/lenet5/{name}{suffix}").stat().st_size > 2000
    return set(names), {Path(name).name: reason for name, reason in undrawn.items()}


SMALL = {"criterion": ["l1"], "ratio": [0.9], "rounds": [1, 2]}


def test_a_study_with_one_seed(tmp_path):
    names, undrawn = drawn(tmp_path, configuration(seeds=[3], pruning=SMALL))
    assert names == PLAIN
    assert undrawn.keys() == {"rewinding"}
    assert "Only one mode of rewinding was run" in undrawn["rewinding"]


def test_a_study_without_pruning(tmp_path):
    names, undrawn = drawn(tmp_path, configuration(seeds=[0, 1], pruning=None))
    assert names == {entry.name for entry in FIGURES if not entry.needs}
    assert undrawn == {}


def test_a_study_without_quantization(tmp_path):
    _, undrawn = drawn(tmp_path, configuration(seeds=[0], pruning=SMALL, quantization={"methods": []}))
    assert undrawn.keys() == {"quantization_bars", "layer_sqnr", "confusion_difference", "rewinding"}
    assert "one precision only" in undrawn["quantization_bars"]


def test_a_study_in_which_runs_failed(tmp_path):
    """One seed of a strategy, and all of another, are holes; what is there is drawn with its own n."""
    names, undrawn = drawn(
        tmp_path,
        configuration(seeds=[0, 1], pruning=SMALL | {"ratio": [0.5, 0.9]}),
        lambda network: "0.9-x2" in network.run or ("0.5-x1" in network.run and network.seed == 1),
    )
    assert len(names) == len(PLAIN)
    assert undrawn.keys() == {"rewinding"}
    data = accuracy_sparsity_data(read_csv(tmp_path / "results.csv"))
    assert dict(zip(data["ratio"].where(data["rounds"] == 1, -data["ratio"]), data["n"], strict=True)) == {
        0.5: 1,
        0.9: 2,
        -0.5: 2,
    }


def test_a_study_with_a_single_network(tmp_path):
    dense = configuration(seeds=[0], pruning=None)
    _, undrawn = drawn(tmp_path, dense, lambda network: network.precision != "fp32")
    assert {"pareto_size", "parallel_coordinates"} <= undrawn.keys()


def test_nothing_measured_is_said_in_words(results, settings):
    without = results.drop(columns=[name for name in results if name.startswith(("latency", "energy", "speedup"))])
    with pytest.raises(Missing, match="No latency was measured"):
        cost_column(without, "latency", settings)
    with pytest.raises(Missing, match="No pruned network has been timed"):
        speedup_data(without)


def test_every_figure_has_a_caption():
    assert all(len(entry.caption) > 80 for entry in FIGURES)


def test_the_same_results_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        drawn(tmp_path / name, configuration(seeds=[0, 1], pruning=SMALL))
    one, other = ((tmp_path / name / "figures/shapes/lenet5") for name in ("one", "other"))
    paths = [*one.glob("*.svg"), *one.glob("*.png")]
    assert len(paths) == 2 * len(PLAIN)
    for path in paths:
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_words_that_are_none_are_refused(study, settings):
    tables = study[1]
    strange = {name: getattr(tables, name).replace({"ptq": "int4"}) for name in ("results", "layers", "confusion")}
    with pytest.raises(WinnowError, match="'int4' is no precision"):
        quantization_bars(strange["results"])
    with pytest.raises(WinnowError, match="'int4' is no precision"):
        layer_sqnr(strange["layers"])
    with pytest.raises(WinnowError, match="'int4' is no precision"):
        confusion_difference_data(strange["confusion"])
    with pytest.raises(WinnowError, match="'int4' is no precision"):
        pareto(strange["results"], "size", settings)
    with pytest.raises(WinnowError, match="'blocks' is no structure"):
        parallel_plot(tables.results.replace({"channels": "blocks"}), settings, None)


def test_words_are_shown_in_their_order_and_once():
    assert [word.name for word in PRECISIONS.present(["qat", "fp32", "qat"])] == ["fp32", "qat"]


def test_only_what_draws_loads_seaborn():
    """Neither the analysis nor the page, which embeds finished figures, waits for it."""
    analysis = sorted((REPOSITORY / "workflow/scripts/winnow/analysis").glob("[a-z]*.py"))
    modules = [f"winnow.analysis.{path.stem}" for path in analysis] + ["winnow.report.page", "winnow.figures.catalog"]
    code = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    environment = {"PYTHONPATH": str(REPOSITORY / "workflow/scripts")}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"seaborn", "matplotlib"} & set(found.stdout.split())
