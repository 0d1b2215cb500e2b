"""The cases of docs/reruns.md, held to exact job counts."""

from __future__ import annotations

import pytest

from projects import REPORT, RUN, Project

SHORT = {"training": {}, "quantization": {"methods": ["ptq"]}}
GRID = {"ratio": [0.5], "rewind": ["init"]}
# what a pruned network adds to every new number of a study
ALL = REPORT | {"make_pruning_table": 1}
PRUNED = {"prune": 1, "retrain": 1, "export": 1, "evaluate": 1, "benchmark": 1}


@pytest.fixture(scope="module")
def finished_pruning(tmp_path_factory, finished) -> Project:
    """The finished study with one precision and one pruned network, for which nothing dense is made again."""
    project = finished.copy_to(tmp_path_factory.mktemp("reruns") / "a project")
    project.configure(pruning=GRID, **SHORT)
    assert project.planned() == PRUNED | ALL
    project.run()
    return project


@pytest.fixture
def study(finished_pruning, tmp_path) -> Project:
    return finished_pruning.copy_to(tmp_path / "a study")


def test_one_rule_for_all_networks(study):
    assert study.planned("-R", "benchmark") == {"benchmark": 3} | ALL


def test_everything_downstream_of_one_file(study):
    assert study.planned("--forcerun", f"{RUN}/ptq/model.onnx") == {"calibrate": 1, "evaluate": 1, "benchmark": 1} | ALL


def test_a_new_ratio_plans_its_networks_only(study):
    study.configure(pruning=GRID | {"ratio": [0.5, 0.9]}, **SHORT)
    # the quantization table shows dense networks, which are all there
    expected = PRUNED | {name: 1 for name in ALL if name != "make_quantization_table"}
    assert study.planned() == expected


def test_a_new_recipe_plans_its_networks_only(study):
    more = [{"method": "ptq", "observer": "minmax", "weight_bits": [8, 4]}]
    study.configure(pruning=GRID, **SHORT | {"quantization": {"methods": ["ptq"], "recipes": more}})
    assert study.planned() == {"calibrate": 2, "evaluate": 2, "benchmark": 2} | ALL
    study.configure(pruning=GRID, **SHORT | {"quantization": {"methods": ["bf16", "ptq"]}})
    assert study.planned() == {"evaluate": 1, "benchmark": 1} | ALL  # of the fp32 file


def test_files_that_take_pixels_are_exported_again_and_nothing_is_trained(study):
    study.configure(pruning=GRID, export={"baked_in": True}, **SHORT)
    assert study.planned() == {"export": 2, "calibrate": 1, "evaluate": 3, "benchmark": 3} | ALL


def test_24_recipes_of_3_strategies_can_be_planned(study):
    more = [
        {
            "method": "ptq",
            "observer": ["histogram", "minmax"],
            "weight_bits": [8, 6, 5, 4],
            "correction": ["none", "bias"],
        },
        {"method": ["dynamic", "ptq", "qat"], "weight_bits": [7, 3, 2]},
    ]
    study.configure(
        pruning=GRID | {"ratio": [0.5, 0.8, 0.9]},
        training=SHORT["training"],
        quantization={"methods": ["qat"], "recipes": more, "apply_to": "last"},
    )
    ptq, qat = 16 + 3, 1 + 3  # the dense network in each precision is there, and one that was pruned in fp32
    every = {"quantize_dynamic": 3, "calibrate": 4 * ptq - 1, "train_quantized": 4 * qat - 1, "export": 2}
    networks = 4 * (1 + 1 + ptq + qat) - 5
    assert study.planned() == {"prune": 2, "retrain": 2} | every | {"evaluate": networks, "benchmark": networks} | ALL
    slug = "ptq-minmax-w4-biass"
    assert f"{slug} is no quantization recipe of study tiny; near it: ptq-minmax-w4-bias" in study.run(
        "-n", f"{RUN}/{slug}/quality.json", fails=True
    )


def test_a_new_seed_plans_its_networks_only(study):
    study.configure(pruning=GRID, seeds=[0, 1], **SHORT)
    dense = {"train": 1, "export": 1, "calibrate": 1, "evaluate": 2, "benchmark": 2}
    expected = {rule: dense.get(rule, 0) + PRUNED.get(rule, 0) for rule in dense | PRUNED}
    assert study.planned() == expected | ALL


def test_a_study_without_its_pruning_plans_tables_only_and_keeps_its_files(study):
    study.configure(pruning=GRID | {"ratio": []}, **SHORT)
    assert "ratio" in study.run("-n", fails=True)  # an empty axis is a mistake, not an empty grid
    study.configure(**SHORT)
    assert set(study.planned()) <= set(REPORT)
    assert (study.root / RUN / "weights.safetensors").exists()


def test_a_changed_fact_of_a_word_plans_what_it_decides_and_a_new_word_or_colour_nothing(study):
    vocabulary = study.root / "workflow/scripts/winnow/study/vocabulary.py"
    text = vocabulary.read_text().replace("#4D4D4D", "#4D4D4E").replace("single weights to zero", "weights to zero")
    last = 'Criterion("random"'
    text = text.replace(last, f'Criterion("new", "a new one", "winnow.prune.magnitude"),\n    {last}')
    vocabulary.write_text(text)
    assert study.planned() == {}
    vocabulary.write_text(text.replace('unit="weights"', 'unit="single weights"'))
    assert study.planned() == PRUNED | {name: 1 for name in ALL if name != "make_quantization_table"}


def test_with_snakemakes_own_triggers_a_touched_script_would_train_again(study):
    with (study.root / "workflow/scripts/train.py").open("a") as file:
        file.write("# a remark\n")
    own = study.planned("--rerun-triggers", "code", "mtime", "params", "input", "software-env")
    assert own["train"] == 1
