"""The pruning section: expansion, repetitions, slugs, retraining schedules and one-line errors."""

import re

import pytest

from samples import REPOSITORY
from winnow.config.resolve import resolve
from winnow.config.settings import PruningSettings, RetrainingSettings, StrategySettings
from winnow.errors import WinnowError
from winnow.study.grid import runs, uses_training


def study(pruning, **changes):
    config = {"study": "s", "datasets": {"digits": {"source": "digits"}}, "models": {"lenet5": {}}}
    return resolve(config | changes | {"pruning": pruning})


def slugs(**pruning) -> list[str]:
    return list(study(pruning).strategies)


def test_without_the_section_nothing_is_pruned():
    config = {"study": "s", "datasets": {"digits": {"source": "digits"}}, "models": {"lenet5": {}}}
    resolved = resolve(config)
    assert resolved.strategies == {}
    assert resolved.pruned == []


def test_the_grid_is_the_product_of_the_axes():
    axes = {"criterion": ["l1", "taylor", "snip"], "scope": ["global", "local"], "ratio": [0.5, 0.9], "rounds": [1, 5]}
    assert len(slugs(**axes, rewind=["none", "lr", "init", 12, "random"])) == 3 * 2 * 2 * 2 * 5
    assert slugs(ratio=[0.9], rounds=[5], rewind=["init"]) == ["l1-global-unstructured-0.9-x5-init"]
    assert slugs(ratio=[0.93], rewind=[12], shuffle=["layerwise"]) == [
        "l1-global-unstructured-0.93-x1-epoch12-shuffle-layerwise"
    ]


def test_every_strategy_and_retraining_builds_its_settings():
    resolved = study({"ratio": [0, 0.5], "rewind": ["none", "lr", "init", 12, "random"], "rounds": [1, 3]})
    for strategy in resolved.strategies.values():
        StrategySettings.of(strategy)
    for retraining in resolved.retraining["lenet5"].values():
        RetrainingSettings.of(retraining)
    PruningSettings.of(resolved.pruning)
    assert resolved.training["lenet5"]["rewind_epochs"] == [12]


@pytest.mark.parametrize(
    ("axes", "count"),
    [
        ({"criterion": ["l1", "l2"]}, 1),  # |w| and w^2 have one order
        ({"criterion": ["l1", "l2"], "structure": ["channels"]}, 2),
        ({"criterion": ["random"], "shuffle": ["none", "layerwise"]}, 1),
        ({"criterion": ["l1"], "shuffle": ["none", "layerwise"]}, 2),
        ({"ratio": [0], "criterion": ["l1", "random"], "scope": ["global", "local"]}, 1),
        ({"ratio": [0], "rounds": [1, 5], "rewind": ["init"]}, 1),
        ({"ratio": [0], "rounds": [1, 5], "rewind": [3]}, 1),
        ({"ratio": [0], "rounds": [1, 5], "rewind": ["lr"]}, 2),  # weights are kept: five more trainings
    ],
)
def test_equivalent_combinations_are_made_once(axes, count):
    assert len(slugs(**({"ratio": [0.5]} | axes))) == count


def test_exclusions_match_parts_and_lists():
    axes = {"ratio": [0.5, 0.9], "rounds": [1, 5], "rewind": ["init", 12]}
    assert len(slugs(**axes, exclude=[{"rounds": 5, "ratio": 0.5}])) == 6
    assert len(slugs(**axes, exclude=[{"rounds": [1, 5], "rewind": [12]}])) == 4


def test_rounds_of_all_strategies_are_runs():
    strategies = study({"ratio": [0.9], "rounds": [1, 2]}).strategies
    assert list(runs(strategies)) == [
        ("l1-global-unstructured-0.9-x1-none/round1", True),
        ("l1-global-unstructured-0.9-x2-none/round1", False),
        ("l1-global-unstructured-0.9-x2-none/round2", True),
    ]


def test_only_choices_at_initialization_that_start_there_need_no_training():
    grid = {"ratio": [0.5], "criterion": ["l1", "snip", "random"], "rewind": ["init", 3, "none", "random"]}
    strategies = study(grid).strategies
    free = {slug for slug, strategy in strategies.items() if uses_training(strategy) is False}
    assert free == {f"{c}-global-unstructured-0.5-x1-{r}" for c in ("snip", "random") for r in ("init", "random")}


def test_a_criterion_of_ones_own_has_a_name_that_is_safe_in_paths():
    strategies = study({"ratio": [0.5], "criterion": ["l1", "My_scores:by_Size"]}).strategies
    slug = "my.scores.by.size-global-unstructured-0.5-x1-none"
    assert list(strategies) == ["l1-global-unstructured-0.5-x1-none", slug]
    assert strategies[slug]["criterion"] == "My_scores:by_Size"
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", slug)
    assert uses_training(strategies[slug])


def test_retraining_takes_up_the_schedule_or_tunes_at_a_low_rate():
    training = {"epochs": 10, "lr": 0.1, "warmup_epochs": 2}
    pruning = {"ratio": [0.5], "rewind": ["none", "lr", "init", 4]}
    plans = study(pruning, training=training).retraining["lenet5"]
    assert {rewind: plan["first_epoch"] for rewind, plan in plans.items()} == {
        "none": 0,
        "lr": 0,
        "init": 0,
        "epoch4": 4,
    }
    assert [plans[r]["training"]["epochs"] for r in ("none", "lr", "init", "epoch4")] == [10] * 4
    assert [plans[r]["training"]["lr"] for r in ("none", "lr")] == [pytest.approx(0.001), 0.1]
    assert plans["none"]["training"]["warmup_epochs"] == 0
    steps = training | {"schedule": "multi_step", "milestones": [5, 8]}
    plans = study(pruning | {"retrain": {"epochs": 3}}, training=steps).retraining["lenet5"]
    assert plans["none"]["training"]["lr"] == pytest.approx(0.001)  # the rate that training ended with
    assert plans["none"]["training"]["milestones"] == []
    assert plans["none"]["training"]["epochs"] == 3


@pytest.mark.parametrize(
    ("pruning", "expected"),
    [
        ({}, r"key 'pruning.ratio' is missing"),
        ({"ratio": [1]}, r"pruning.ratio.0: 1 is greater than or equal to the maximum of 1"),
        ({"ratio": [0.5], "criterion": ["l3"]}, r"pruning.criterion.0 is 'l3', expected one of l1, l2"),
        (
            {"ratio": [0.5], "rewind": ["intial"]},
            r"pruning.rewind.0 is 'intial', expected one of none, lr.*an epoch, from 1, to 100000; did you mean 'init'",
        ),
        ({"ratio": [0.5], "rewnd": ["init"]}, r"unknown key 'pruning.rewnd'; did you mean 'rewind'\?"),
        ({"ratio": [0.5], "exclude": [{"rund": 1}]}, r"unknown key 'pruning.exclude.0.rund'"),
        (
            {"ratio": [0.5], "exclude": [{"criterion": "l3"}]},
            r"exclude.0.criterion is 'l3', expected one of l1",
        ),
        ({"ratio": [0.5], "exclude": [{"ratio": [0.5, 2]}]}, r"pruning.exclude.0.ratio.1: 2 is greater than"),
        ({"ratio": [0.5], "exclude": [{}]}, r"pruning.exclude.0 names no axis"),
        ({"ratio": []}, r"pruning.ratio: \[\] is empty"),
        ({"ratio": 0.5}, r"pruning.ratio: 0.5 is no list; write \[0.5\]"),
        (
            {"ratio": [0.5], "criterion": ["a_b:score", "a.b:score"]},
            r"lists 'a_b:score' and 'a.b:score', which are both a.b.score in the names of files; change one",
        ),
        ({"ratio": [0.5, 0.5]}, r"pruning.ratio lists 0.5 more than once"),
        ({"ratio": [0.5], "models": ["lenet"]}, r"pruning.models lists 'lenet', which is none of lenet5"),
        ({"ratio": [0.5], "datasets": ["mnist"]}, r"pruning.datasets lists 'mnist', which is none of digits"),
        ({"ratio": [0.5], "exclude": [{"rounds": 3}]}, r"exclude: \{rounds: 3\} matches no combination"),
        ({"ratio": [0.5], "exclude": [{"rounds": 1}]}, r"exclude leaves no combination"),
        ({"ratio": [0.5], "rewind": [50]}, r"rewind lists epoch 50, but training of lenet5 has 50 epochs"),
        (
            {"ratio": [0.5], "criterion": ["snip"], "calibration_samples": 5000},
            r"pruning.calibration_samples is 5000, but the training split of datasets.digits has about 1293",
        ),
    ],
)
def test_mistakes_are_one_line_each(pruning, expected):
    with pytest.raises(WinnowError) as caught:
        study(pruning)
    assert any(re.search(expected, line) for line in str(caught.value).splitlines()), str(caught.value)


def test_a_large_grid_is_expanded_whole():
    ratios = [k / 1002 for k in range(1, 1001)]
    found = slugs(ratio=ratios, criterion=["l1", "random"], scope=["global", "local"], rewind=["init", 3])
    assert len(set(found)) == len(found) == 8000


def test_the_shipped_studies_have_the_grids_they_promise():
    import yaml

    default = resolve(yaml.safe_load((REPOSITORY / "config/config.yaml").read_text()))
    ratios = {s["ratio"] for s in default.strategies.values() if s["criterion"] == "l1" and s["rounds"] == 5}
    assert ratios == {0, 0.1, 0.25, 0.5, 0.8, 0.9, 0.93, 0.97, 0.98}
    assert default.seeds == [0, 1, 2]
    assert [dataset for dataset, _ in default.pruned] == ["cifar10", "cifar10"]
    demo = resolve(yaml.safe_load((REPOSITORY / "config/demo.yaml").read_text()))
    assert len(list(runs(demo.strategies))) <= 10
