"""What a reader meets: the start page, the one-page report, what is missing, and the live view."""

import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from projects import LIVE
from studies import configuration, files, tables, write_study
from winnow.analysis.published import beside_published, published_table
from winnow.analysis.ranking import ranking, ranking_table
from winnow.analysis.recommendation import recommend
from winnow.config.recommend import RecommendSettings
from winnow.errors import WinnowError
from winnow.report.blocks import Bullets, Heading, Table, Text, to_markdown, to_rst
from winnow.report.checklist import checklist
from winnow.report.html import to_html
from winnow.report.live import live_report
from winnow.report.model_card import reasons
from winnow.report.page import write_parts
from winnow.report.pruning_table import pruning_table
from winnow.report.quantization_table import quantization_table
from winnow.report.start_page import Outcome, start_page
from winnow.results.collect import collect
from winnow.results.report_table import WIDTH, ReportTable
from winnow.study.artifacts import networks
from winnow.study.check import Check, Finding
from winnow.study.status import absent, failures

SMALL = {"criterion": ["l1", "random"], "ratio": [0.5, 0.9], "rounds": [1], "rewind": ["init"]}
"""Two sparsities by magnitude and at random."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished study of two seeds: its folder and its resolved configuration. Do not change it."""
    root = tmp_path_factory.mktemp("made")
    return root, write_study(root, configuration(seeds=[0, 1], pruning=SMALL))


@pytest.fixture
def half(tmp_path):
    """A study in which one training failed, one runs, and one has not begun."""
    root = tmp_path
    gone = ("random-global-unstructured-0.5", "random-global-unstructured-0.9", "l1-global-unstructured-0.9")
    study = write_study(
        root,
        configuration(seeds=[0], pruning=SMALL),
        lambda network: network.run.startswith(gone) or (network.run == "dense" and network.precision == "qat"),
    )
    folder = root / "results/made-up"
    log = folder / "logs/retrain/shapes/lenet5/seed0/l1-global-unstructured-0.9-x1-init/round1.log"
    log.parent.mkdir(parents=True)
    log.write_text("10:00:00 epoch 1: loss 2.3\n10:00:01 error: shapes/lenet5: the loss is not finite; lower lr\n")
    log = folder / "logs/train_quantized/shapes/lenet5/seed0/dense/qat.log"
    log.parent.mkdir(parents=True)
    log.write_text("10:00:00 failed\nTraceback (most recent call last):\n  File x\nRuntimeError: no memory <left>\n")
    running = folder / "shapes/lenet5/seed0/random-global-unstructured-0.5-x1-init/round1"
    running.mkdir(parents=True)
    (running / "history.csv").write_text("epoch,validation_accuracy,train_loss\n1,0.5,1\n2,0.6,1\n")
    return root, study


def outcome(root, study, **options):
    found = tables(root, study).results
    chosen = recommend(found, RecommendSettings.of(study["recommend"]))
    return Outcome(study, found, chosen, absent(study, root / "results" / study["study"]), **options)


def finding(what, reason=None) -> Finding:
    return Finding(what=what, works=reason is None, reason=reason, seconds=1.5, details={})


def words(blocks) -> str:
    return to_markdown("title", blocks)


def test_the_start_page_says_what_was_tried_before_training(made):
    fine = Check(dataset="shapes", model="lenet5", works=True, checks=(finding("weights"), finding("ptq")))
    refused = (finding("weights"), finding("qat", "shapes/mine, qat: no integers"))
    other = Check(dataset="shapes", model="mine", works=False, checks=refused)
    text = words(start_page(outcome(*made, checks=[fine, other])))
    table = text[text.index("Tried before training") :]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert ["shapes / lenet5", "yes", "3.0", "weights, ptq"] in lines
    assert ["shapes / mine", "no: qat", "3.0", "weights, qat"] in lines
    assert "- shapes/mine, qat: no integers" in table


def test_the_start_page_says_what_to_ship_what_it_costs_and_why(made):
    page = outcome(*made)
    text, row = words(start_page(page)), page.recommendations[0].chosen
    dense = page.results[(page.results["run"] == "dense") & (page.results["precision"] == "fp32")]
    dense = dense[dense["seed"] == row["seed"]].iloc[0]
    assert f"**shapes / lenet5: ship {row['name']}** (seed {row['seed']}), in `best/shapes/lenet5/`" in text
    assert f"**{100 * row['top1']:.2f} %** (dense fp32: {100 * dense['top1']:.2f} %)" in text
    faster = dense["latency_openvino_b1_t1_ms"] / row["latency_openvino_b1_t1_ms"]
    assert f"({faster:.3g}x faster)" in text
    assert "Nothing: every network of the configuration was made, scored and timed." in text
    assert re.search(r"Loss of accuracy at most 1 point \(`max_accuracy_drop`\): excludes \d+ of 20", text)
    assert "On 200 validation images, accuracies less than" in text


def test_the_start_page_says_what_came_out_and_on_what(made):
    page = outcome(*made)
    text = words(start_page(page))
    dense = page.results[(page.results["run"] == "dense") & (page.results["precision"] == "fp32")]["top1"]
    assert f"Dense fp32 has {100 * dense.mean():.2f} ± {100 * dense.std():.2f} % test accuracy" in text
    assert "At 90.0 % sparsity, the highest that was tried, the best strategy (l1)" in text
    assert "choosing at random keeps" in text
    assert "made **no network faster**" in text
    for fact in ("A processor", "onnxruntime 1.0, openvino 2.0", "estimated from CPU seconds", "5 epochs"):
        assert fact in text


def test_the_start_page_says_what_lost_channels_and_what_did_not(tmp_path):
    study = write_study(tmp_path, configuration(seeds=[0], pruning=SMALL | {"structure": ["channels"]}))
    text = words(start_page(outcome(tmp_path, study)))
    assert (
        "Of the channels that can go, at most 90 % were removed; that is 99 % of the weights of the network and 99 % "
        "of its multiply-accumulates."
    ) in text
    assert (
        "Channels are removed together where layers share them: conv1, conv2 (8 channels); 1 layer on its own" in text
    )
    assert "Where channels were removed, these layers kept all of theirs: the classifier (fc)." in text


def test_latencies_of_a_busy_machine_are_called_unsure(made):
    """On the start page and in the model card, whose words the page repeats."""
    root, study = made
    page = outcome(root, study)
    assert "unsure" not in words(start_page(page))
    results = page.results.copy()
    results.loc[results["precision"] == "ptq", "latency_openvino_b1_t1_p95_ms"] *= 3
    busy = recommend(results, page.settings)
    text = words(start_page(replace(page, results=results, recommendations=busy)))
    assert "**Latencies are unsure**: in 5 of 20 the 95th percentile is more than 2 times the median" in text
    results.loc[:, "latency_openvino_b64_t1_p95_ms"] *= 3
    text = words(start_page(replace(page, results=results)))
    assert "**Latencies are unsure**: in 25 of 90 the" in text


def test_equal_work_in_unequal_times_is_told(made):
    """Of networks that only differ in their weights, the two that took the most different times."""
    root, study = made
    page = outcome(root, study)
    assert "Equal work" not in words(start_page(page))
    results = page.results.copy()
    dense = (results["run"] == "dense") & (results["seed"] == 0)
    twins = dense & results["precision"].isin(["ptq", "qat"])
    results.loc[twins, "computation"] = "the same"
    results.loc[twins, [name for name in results if name.startswith("latency_")]] = 2.0
    results.loc[twins & (results["precision"] == "qat"), "latency_openvino_b64_t1_high_ms"] = 3.0
    results.loc[twins & (results["precision"] == "qat"), "latency_openvino_b64_t1_ms"] = 2.5
    assert "Equal work" not in words(start_page(replace(page, results=results)))  # by chance
    results.loc[twins & (results["precision"] == "qat"), "latency_openvino_b64_t1_low_ms"] = 2.4
    text = words(start_page(replace(page, results=results)))
    assert "**Equal work, unequal times**: `seed0/dense/ptq` 2.0000 ms and `seed0/dense/qat` 2.5000 ms run" in text
    assert "(OpenVINO, batch 64, 1 thread)" in text
    assert "differ by up to 25 %" in text


def test_networks_that_were_not_timed_alone_are_told(made):
    """On the start page and in the model card."""
    root, study = made
    page = outcome(root, study)
    assert "Not timed alone" not in words(start_page(page))
    results = page.results.copy()
    results.loc[results["precision"] == "ptq", "other_load"] = 1.5
    text = words(start_page(replace(page, results=results)))
    timed = (results["precision"] == "ptq").sum()
    assert f"**Not timed alone**: while {timed} of {len(results)} networks were timed, other programs kept 1.5" in text
    (entry,) = recommend(results, page.settings)
    assert any(reason.startswith("**Not timed alone**") for reason in reasons(entry))


def test_networks_that_learned_nothing_are_told(made):
    root, study = made
    page = outcome(root, study)
    assert "Nothing learned" not in words(start_page(page))
    results = page.results.assign(learned=0)
    text = words(start_page(replace(page, results=results)))
    assert f"**Nothing learned**: {len(results)} of {len(results)} networks are no better than always answering" in text
    assert "`dense/fp32`" in text.partition("**Nothing learned**")[2].partition(" and others)")[0]
    (entry,) = recommend(results, page.settings)
    assert any(reason.startswith("**Nothing learned**: This network is no better") for reason in reasons(entry))
    assert "Look at the labels" in text
    results = page.results.assign(learned=(page.results["criterion"] != "random").astype(int))
    assert results["learned"].min() == 0
    text = words(start_page(replace(page, results=results)))
    assert "Only controls, which remove at random" in text
    assert "Look at the labels" not in text


def test_latencies_that_differ_from_seed_to_seed_are_unsure(made):
    root, study = made
    page = outcome(root, study)
    results = page.results.copy()
    columns = [name for name in results if name.startswith("latency_openvino_b1_t1")]
    results.loc[results["seed"] == 0, columns] *= 1.5
    busy = recommend(results, page.settings)
    text = words(start_page(replace(page, results=results, recommendations=busy)))
    assert "or the standard deviation over seeds more than 20 % of the mean" in text


def test_missing_networks_are_listed_with_the_reason(half):
    root, study = half
    found = {entry.network.folder: entry for entry in absent(study, root / "results/made-up")}
    expected = {network.folder for network in networks(study)} - {
        path.parent.relative_to(root / "results/made-up").as_posix() for path in files(root, study)["quality"]
    }
    assert found.keys() == expected
    slug = "shapes/lenet5/seed0/l1-global-unstructured-0.9-x1-init/round1"
    for precision in ("fp32", "dynamic", "ptq", "qat"):
        assert found[f"{slug}/{precision}"].state == "failed"
        assert "the loss is not finite; lower lr" in found[f"{slug}/{precision}"].reason
    assert found["shapes/lenet5/seed0/dense/qat"].reason.endswith("RuntimeError: no memory <left>")
    running = found["shapes/lenet5/seed0/random-global-unstructured-0.5-x1-init/round1/fp32"]
    assert (running.state, running.reason) == ("training", "epoch 2 is complete")
    waiting = found["shapes/lenet5/seed0/random-global-unstructured-0.9-x1-init/round1/fp32"]
    assert (waiting.state, waiting.reason) == ("not made yet", "no accuracy and latency yet")


@pytest.mark.parametrize(
    ("log", "stopped"),
    [
        ("train/shapes/lenet5/seed0", {"dense/fp32", "dense/ptq", "a-x3-init/round2/fp32"}),
        ("export/shapes/lenet5/seed0/dense", {"dense/fp32", "dense/ptq"}),
        ("calibrate/shapes/lenet5/seed0/dense/ptq", {"dense/ptq"}),
        ("calibrate/shapes/lenet5/seed0/dense/ptq-w4", set()),
        ("evaluate/shapes/lenet5/seed0/dense/ptq", {"dense/ptq"}),
        ("retrain/shapes/lenet5/seed0/a-x3-init/round1", {"a-x3-init/round2/fp32"}),
        ("retrain/shapes/lenet5/seed0/a-x3-init/round3", set()),
        ("prepare_dataset/shapes", {"dense/fp32", "dense/ptq", "a-x3-init/round2/fp32"}),
        ("train/shapes/lenet5/seed1", set()),
        ("tune/shapes/lenet5/seed0", {"dense/fp32", "dense/ptq", "a-x3-init/round2/fp32"}),
        ("import_network/shapes/lenet5", {"dense/fp32", "dense/ptq", "a-x3-init/round2/fp32"}),
        ("import_initial/shapes/lenet5", {"a-x3-init/round2/fp32"}),
    ],
)
def test_a_failure_stops_what_depends_on_it(tmp_path, log, stopped):
    from winnow.study.artifacts import Network

    path = tmp_path / "logs" / f"{log}.log"
    path.parent.mkdir(parents=True)
    path.write_text("10:00:00 error: why\n")
    (failure,) = failures(tmp_path)
    assert failure.error == "why"
    for run, precision in (("dense", "fp32"), ("dense", "ptq"), ("a-x3-init/round2", "fp32")):
        network = Network("shapes", "lenet5", 0, run, precision, precision)
        assert failure.stops(network) == (f"{run}/{precision}" in stopped)


def test_a_log_without_an_error_is_no_failure(tmp_path):
    (tmp_path / "logs/train").mkdir(parents=True)
    (tmp_path / "logs/train/d.log").write_text("10:00:00 quantization error 0.3\n10:00:01 epoch 2: loss 0.3\n")
    assert failures(tmp_path) == []


def test_tables_say_once_what_is_the_same_in_every_row(made, tmp_path):
    write_parts(outcome(*made), tmp_path / "start.rst", tmp_path / "tables.html", tmp_path / "checks.html")
    text = (tmp_path / "tables.html").read_text()
    for name in ("dataset", "data set", "model"):
        assert f"<th>{name}</th>" not in text
    assert '<p class="soft">shapes, lenet5</p>' in text
    assert "<th>recipe</th>" in text  # which differs
    assert "\u00a0±\u00a0" in text  # a spread stays with its mean


def test_the_live_view_shows_holes_and_failures_and_changes_nothing(half):
    root, study = half
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    page = live_report(study, root / "results")
    assert page == root / "results/made-up/live/overview.html"
    assert {path: path.read_bytes() for path in before} == before
    text = page.read_text()
    count = len(files(root, study)["quality"])
    assert f"{count} of 20 networks" in text.replace("\u00a0", " ")
    assert "the loss is not finite; lower lr" in text
    assert "RuntimeError: no memory &lt;left&gt;" in text
    assert "epoch 2 is complete" in text
    assert len(pd.read_csv(page.parent / "results.csv")) == count
    history = pd.read_csv(page.parent / "history.csv")
    assert (history["run"] == "random-global-unstructured-0.5-x1-init/round1").sum() == 2
    assert "best/shapes" not in text


def test_numbers_of_a_network_that_failed_when_it_was_made_again_are_left_out(tmp_path):
    """As when a setting was changed: quality.json of the earlier one still lies there."""
    study = write_study(tmp_path, configuration(seeds=[0], pruning=None))
    folder = tmp_path / "results/made-up"
    for rule, recipe in (("train_quantized", "qat"), ("calibrate", "ptq")):  # one without what it should have written
        log = folder / f"logs/{rule}/shapes/lenet5/seed0/dense/{recipe}.log"
        log.parent.mkdir(parents=True)
        log.write_text("10:00:01 error: the loss is not finite\n")
    (folder / "shapes/lenet5/seed0/dense/qat/model.onnx").unlink()
    page = live_report(study, tmp_path / "results")
    assert "<b>1 network failed:</b>" in page.read_text()
    assert "3 of 4 networks. This is a look at a study that is not finished. <b>1 is missing</b>" in page.read_text()
    assert set(pd.read_csv(page.parent / "results.csv")["precision"]) == {"fp32", "dynamic", "ptq"}


def test_numbers_of_networks_that_are_made_again_are_left_out(tmp_path):
    pruning = {"ratio": [0.5], "rounds": [2], "rewind": ["init"]}
    study = write_study(tmp_path, configuration(seeds=[0, 1], pruning=pruning, quantization={"methods": []}))
    folder = tmp_path / "results/made-up"
    slug = "l1-global-unstructured-0.5-x2-init"
    (folder / f"shapes/lenet5/seed0/{slug}/round1/training.json").unlink()
    (folder / "shapes/lenet5/seed1/dense/training.json").unlink()
    found = {entry.network.training: (entry.state, entry.outdated) for entry in absent(study, folder)}
    assert found == {
        f"shapes/lenet5/seed0/{slug}/round1": ("training", True),
        f"shapes/lenet5/seed0/{slug}/round2": ("not made yet", True),
        "shapes/lenet5/seed1/dense": ("training", True),
        f"shapes/lenet5/seed1/{slug}/round1": ("not made yet", True),
        f"shapes/lenet5/seed1/{slug}/round2": ("not made yet", True),
    }
    results = pd.read_csv(live_report(study, tmp_path / "results").parent / "results.csv")
    assert results[["seed", "run"]].to_numpy().tolist() == [[0, "dense"]]


def test_the_live_view_of_a_study_without_any_network_is_an_error_that_says_so(tmp_path):
    study = write_study(tmp_path, configuration(seeds=[0], pruning=None), lambda _: True)
    with pytest.raises(WinnowError, match="no network has been evaluated yet"):
        live_report(study, tmp_path / "results")


def test_the_live_view_without_latencies(tmp_path):
    study = write_study(tmp_path, configuration(seeds=[0], pruning=None))
    for path in tmp_path.rglob("speed.json"):
        path.unlink()
    text = live_report(study, tmp_path / "results").read_text()
    assert "4 networks not made yet" in text
    assert "0 of 4 networks. This is a look at a study that is not finished. <b>4 are missing</b>" in text
    assert "no latency yet" in text
    assert "No latency was measured yet" in text


def test_the_page_needs_nothing_from_elsewhere(made):
    root, study = made
    text = live_report(study, root / "results").read_text()
    markup = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!data:|#)', markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert text.count("Plotly.react") == 1
    plots = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text)[1])
    assert list(plots) == ["all", "lowest accuracy", "highest accuracy", "one-shot pruning"]
    shutil.rmtree(root / "results/made-up/live")


def test_a_command_line_mistake_is_one_line(tmp_path):
    assert LIVE.run(tmp_path / "none.yaml").startswith("error: ")
    (tmp_path / "bad.yaml").write_text("study: x\n")
    assert "configuration: key 'datasets' is missing" in LIVE.run(tmp_path / "bad.yaml")


def test_the_ranking_holds_the_best_and_the_worst(made):
    results = tables(*made).results
    table = ranking(results, count=2)
    means = 100 * results.groupby(["run", "precision"])["top1"].mean()
    assert list(table["rank"]) == [1, 2, 19, 20]
    assert list(table["top1"]) == pytest.approx([*means.nlargest(2), *means.nsmallest(2)[::-1]])
    assert list(table["n"]) == [2, 2, 2, 2]
    base = means[("dense", "fp32")]
    assert table["change"].iloc[0] == pytest.approx(table["top1"].iloc[0] - base)
    assert ranking(results.iloc[:0]).empty


def test_published_values_stand_beside_ones_own_with_their_setup(tmp_path):
    pruning = {"ratio": [0.8], "rounds": [1, 3], "rewind": ["init", 2]}
    datasets, models = {"cifar10-small": {"source": "digits"}}, {"resnet18": {}, "resnet20": {}}
    study = write_study(tmp_path, configuration(datasets=datasets, models=models, pruning=pruning))
    results = tables(tmp_path, study).results
    table = beside_published(results).set_index(["model", "network", "metric"])
    row = table.loc[("resnet20", "iterative, rewound to an epoch, 79 % sparsity", "top-1 (%)")]
    own = results[(results["model"] == "resnet20") & results["run"].str.contains("x3-epoch2/round3")]
    own = own[own["precision"] == "fp32"]["top1"]
    assert (row["published"], row["own"], row["n"]) == (91.7, pytest.approx(100 * own.mean()), 3)
    assert "Renda" in row["setup"]
    assert table.loc[("resnet18", "ptq", "quantization error"), "published"] == 0.791
    assert pd.isna(table.loc[("resnet20", "one-shot, re-initialized, 79 % sparsity", "top-1 (%)"), "own"])
    published_table(results).write(tmp_path / "p.csv", tmp_path / "p.md")
    assert "for orientation, not for ranking" in (tmp_path / "p.md").read_text()
    other = results.assign(dataset="digits")
    assert beside_published(other).empty
    assert beside_published(results.assign(dataset="cifar100-x"))["published"].isin([42.79]).any()


def test_the_checklist_is_held_against_the_study(tmp_path, made):
    def passed(config, **options):
        study = write_study(tmp_path / str(len(list(tmp_path.iterdir()))), config, **options)
        root = max(tmp_path.iterdir(), key=lambda path: int(path.name))
        return [item.passed for item in checklist(tables(root, study).results)]

    full = {"criterion": ["l1", "random"], "ratio": [0.1, 0.3, 0.5, 0.8, 0.9]}
    datasets = {name: {"source": "digits"} for name in "abc"}
    none = {"methods": []}
    assert all(passed(configuration(datasets=datasets, pruning=full, quantization=none)))
    #                                                        points, speed, seeds, random, magnitude, raw, pairs
    assert passed(configuration(seeds=[0], pruning={"ratio": [0.5]}, quantization=none)) == [
        *(False, True, False, False, True, True, False)
    ]
    assert passed(configuration(pruning=None))[3:5] == [False, False]
    alone = passed(configuration(pruning=full), without=lambda n: n.run == "dense" and n.seed == 1)
    assert alone[5] is False
    assert not any(item.passed for item in checklist(tables(*made).results.iloc[:0]))


def test_markup_is_escaped_in_every_form():
    blocks = [Heading("A & B"), Text("**a** `x_y` <b> 5 % {{ x }} a_b"), Bullets(["one|two"])]
    blocks.append(Table(pd.DataFrame({"a": ["<i>"], "b": ["c_d"]})))
    page = to_html("<title>", blocks)
    assert "<h1>&lt;title&gt;</h1>" in page
    assert "<b>a</b> <code>x_y</code> &lt;b&gt; 5\u00a0%" in page
    assert "<td>&lt;i&gt;</td>" in page
    rst = to_rst("t", blocks)
    assert "**a** ``x_y`` <b> 5 % { { x }} a\\_b" in rst
    assert "- one\\|two" in rst
    assert "## A & B" in to_markdown("t", blocks)


def test_tables_of_holes_say_over_how_many_seeds(half):
    root, study = half
    found = files(root, study)
    table = quantization_table(collect(found["quality"], found["speed"], {}))
    assert set(table.data["method"]) == {"base", "dynamic", "ptq"}


@pytest.mark.parametrize("names", [["cifar10"], ["cifar10", "cifar100"]])
def test_markdown_tables_fit_a_terminal(tmp_path, names):
    pruning = {"criterion": ["l1", "random"], "structure": ["unstructured", "channels"], "ratio": [0.5, 0.9]}
    pruning |= {"rounds": [1, 3], "rewind": ["init"], "exclude": [{"structure": "channels", "rounds": 3}]}
    models, datasets = {"resnet18": {}, "resnet20": {}}, {name: {"source": "digits"} for name in names}
    study = write_study(tmp_path, configuration(datasets=datasets, models=models, pruning=pruning))
    results = tables(tmp_path, study).results
    for make in (quantization_table, pruning_table, ranking_table, published_table):
        table = make(results)
        text = table.markdown()
        assert max(map(len, text.splitlines())) <= WIDTH
        for name in set(table.shown.columns) - set(table.groups):
            assert f"| {name}" in text
        for cell in {str(cell) for cell in table.shown.to_numpy().ravel()}:
            assert cell in text


def test_a_table_that_is_too_wide_is_divided_by_what_rows_share_then_by_columns():
    wide, wider = "long " * 11, "long " * 12
    shown = pd.DataFrame({"model": ["a", "a", "b", "b"], "row": ["x", "y", "x", "y"], wide: list("1234"), wider: "|"})
    table = ReportTable("t", shown, shown, groups=("model",), labels=("row",), notes=["word " * 30], nothing="")
    text = table.markdown()
    assert [line for line in text.splitlines() if line.startswith("**")] == ["**a**", "**b**"]
    assert text.count("| row |") == 4  # both halves of either
    assert "\\|" in text
    assert max(map(len, text.splitlines())) <= WIDTH
    narrow = ReportTable("t", shown, shown[["model", "row"]], ("model",), ("row",), [], "").markdown()
    assert narrow.splitlines()[0] == "| model | row |"
