"""Any grid, any scores, any names: nothing is lost or doubled, counts are exact, and paths lead back."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from winnow.config.resolve import resolve
from winnow.errors import WinnowError
from winnow.prune.masks import Masks, load_masks, save_masks
from winnow.prune.selection import check_count, density, select, shuffled
from winnow.results.tidy import collect_histories
from winnow.rng import generator
from winnow.study.artifacts import networks
from winnow.study.folders import BESIDE_DATASETS, BESIDE_STUDIES
from winnow.study.grid import expand, matches, ratio_slug
from winnow.study.pruning_axes import REWINDS, SCOPES, SHUFFLES
from winnow.study.recipes import precisions
from winnow.study.vocabulary import AXES, CRITERIA, KEYS, STRUCTURES
from winnow.text import is_line, shown, told

# the same examples in every run: what chance finds once is a test of its own
repeatable = settings(database=None, deadline=None, derandomize=True, max_examples=150)
RATIOS = some.floats(0, 1, exclude_max=True) | some.sampled_from((0, 0.5, 0.9, 0.98, 1e-9))
ROUNDS = some.integers(1, 1000)
VALUES = {
    "criterion": some.sampled_from([*CRITERIA, "mine:by_size", "a.b.c:D"]),
    "scope": some.sampled_from([*SCOPES]),
    "structure": some.sampled_from([*STRUCTURES]),
    "ratio": RATIOS,
    "rounds": ROUNDS,
    "rewind": some.sampled_from([*REWINDS]) | some.integers(1, 40),
    "shuffle": some.sampled_from([*SHUFFLES]),
}
LISTS = {axis: some.lists(values, min_size=1, max_size=3, unique=True) for axis, values in VALUES.items()}
ALWAYS_DIFFERENT = ("scope", "structure", "ratio", "rounds", "rewind")
SLUG = re.compile(r"[a-z0-9][a-z0-9.+-]*")  # as `pruning` in wildcard_constraints


@some.composite
def grids(draw: some.DrawFn) -> dict[str, list[Any]]:
    grid: dict[str, list[Any]] = {axis: draw(values) for axis, values in LISTS.items()}
    exclude = []
    for _ in range(draw(some.integers(0, 2))):
        axes = draw(some.lists(some.sampled_from(AXES), min_size=1, max_size=3, unique=True))
        exclude.append({axis: draw(some.sampled_from(grid[axis])) for axis in axes})
    return grid | {"exclude": exclude}


def configuration(grid: dict[str, list[Any]]) -> dict[str, Any]:
    return {
        "study": "s",
        "datasets": {"digits": {"source": "digits"}},
        "models": {"lenet5": {}},
        "pruning": grid | {"min_density": 0},
    }


@repeatable
@given(grids())
def test_a_grid_loses_and_doubles_nothing(grid):
    assume(len({ratio_slug(ratio) for ratio in grid["ratio"]}) == len(grid["ratio"]))
    strategies = expand(grid)
    kept = [_as_listed(strategy) for strategy in strategies.values()]
    assert len({tuple(strategy.values()) for strategy in kept}) == len(kept)
    assert not any(matches(strategy, entry) for strategy in kept for entry in grid["exclude"])
    assert all(SLUG.fullmatch(slug) and len(slug) <= 200 for slug in strategies)
    if not grid["exclude"]:
        for different in itertools.product(*(grid[axis] for axis in ALWAYS_DIFFERENT)):
            wanted = dict(zip(ALWAYS_DIFFERENT, different, strict=True))
            if wanted["ratio"]:
                assert any(matches(strategy, wanted) for strategy in kept)
        for rewind in grid["rewind"]:  # nothing removed is the same however it is chosen
            assert 0 not in grid["ratio"] or any(matches(strategy, {"ratio": 0, "rewind": rewind}) for strategy in kept)


def _as_listed(strategy: dict[str, Any]) -> dict[str, Any]:
    """Return the axes of a strategy as the lists have them."""
    rewind = strategy["rewind"]
    return {axis: strategy[axis] for axis in AXES} | {
        "rewind": strategy["rewind_epoch"] if rewind.startswith("epoch") else rewind
    }


@repeatable
@given(grids())
def test_a_grid_is_a_study_or_refused(grid):
    try:
        study = resolve(configuration(grid))
    except WinnowError:
        return
    folders = [network.folder for network in networks(study.reported())]
    assert len(set(folders)) == len(folders)
    assert len(study.strategies) == len({tuple(strategy.values()) for strategy in study.strategies.values()})


@pytest.mark.parametrize(("one", "other"), [(0.1, 0.1 + 1e-16), (0.9, 0.9000000000001)])
def test_ratios_that_are_one_name_are_refused(one, other):
    assert one != other
    with pytest.raises(WinnowError, match=r"pruning.ratio lists .* and .*, which are both .* in the names of files"):
        resolve(configuration({"ratio": [one, other]}))


def some_losses(seed):
    """Whatever a network may lose: nothing, anything, or no number."""
    random = generator(seed, 1)
    while True:
        loss = float(torch.randn((), generator=random).exp())
        yield (loss, 1.0, math.nan, math.inf)[int(torch.randint(4, (), generator=random))]


@repeatable
@given(
    sizes=some.lists(some.integers(1, 60), min_size=1, max_size=5),
    ratio=RATIOS,
    rounds=some.integers(1, 4),
    scope=some.sampled_from([*SCOPES]),
    min_density=some.sampled_from((0, 0.001, 0.1, 0.5, 1)),
    distinct=some.integers(1, 5),
    seed=some.integers(0, 2**32 - 1),
)
def test_any_scores_are_cut_to_the_exact_count_round_by_round(sizes, ratio, rounds, scope, min_density, distinct, seed):
    random = generator(seed)
    losses = some_losses(seed)
    alive = {f"layer{place}": torch.ones(size, dtype=torch.bool) for place, size in enumerate(sizes)}
    for number in range(1, rounds + 1):
        share, total = density(ratio, number, rounds), sum(sizes)
        scores = {name: torch.randint(distinct, mask.shape, generator=random).double() for name, mask in alive.items()}
        floors = {name: max(1, math.ceil(min_density * len(mask))) for name, mask in alive.items()}
        wanted = total - round((1 - share) * total)
        try:
            kinds = {"scope": scope, "min_density": min_density, "random": random, "run": "run"}
            masks = select(scores, alive, share, **kinds, loss_of=lambda *_: next(losses))
        except WinnowError:
            assert sum(floors.values()) > wanted
            return
        kept = {name: int(mask.sum()) for name, mask in masks.items()}
        assert sum(kept.values()) == wanted
        assert all(kept[name] >= min(floors[name], int(alive[name].sum())) for name in kept)
        assert not any((mask & ~alive[name]).any() for name, mask in masks.items())
        check_count(sum(kept.values()), total, share, "run", "weights")
        control = shuffled(masks, alive, random)
        assert {name: int(mask.sum()) for name, mask in control.items()} == kept
        assert not any((mask & ~alive[name]).any() for name, mask in control.items())
        alive = masks


@repeatable
@given(
    shapes=some.lists(some.lists(some.integers(1, 4), min_size=1, max_size=4), min_size=1, max_size=4),
    seed=some.integers(0, 2**32 - 1),
)
def test_any_masks_are_read_as_written_and_leave_exact_zeros(tmp_path_factory, shapes, seed):
    random = generator(seed)
    model = torch.nn.ParameterDict({f"w{k}": torch.nn.Parameter(torch.randn(s)) for k, s in enumerate(shapes)})
    masks = Masks({name: torch.rand(weight.shape, generator=random) < 0.5 for name, weight in model.items()})
    path = tmp_path_factory.getbasetemp() / "masks.safetensors"
    save_masks(path, masks)
    read = load_masks(path)
    assert read.keep.keys() == masks.keep.keys()
    assert all(torch.equal(read.keep[name], keep) for name, keep in masks.keep.items())
    before = {name: weight.detach().clone() for name, weight in model.items()}
    read.apply(model)
    read.check(model, "run")
    for name, keep in masks.keep.items():
        assert torch.equal(model[name].detach(), torch.where(keep, before[name], 0.0))


NAMES = some.from_regex(r"[a-z0-9][a-z0-9._-]{0,99}", fullmatch=True) | some.sampled_from(
    ("18", "1e3", "inf", "seed0", "dense")
)


@repeatable
@given(study=NAMES, dataset=NAMES, model=NAMES, seed=some.integers(0, 2**32 - 1), ratio=RATIOS)
def test_the_path_of_any_network_leads_back_to_it(tmp_path_factory, study, dataset, model, seed, ratio):
    config = {
        "study": study,
        "seeds": [seed],
        "datasets": {dataset: {"source": "digits"}},
        "models": {model: {"name": "lenet5"}},
        "pruning": {"ratio": [ratio], "min_density": 0},
        "quantization": {"apply_to": "all"},
    }
    try:
        resolved = resolve(config).reported()
    except WinnowError:
        assert dataset in BESIDE_DATASETS or study in BESIDE_STUDIES
        return
    trained = {network for network in networks(resolved) if network.history}
    root = tmp_path_factory.getbasetemp()
    paths: list[Path] = []
    for network in trained:
        paths.append(root / "results" / study / str(network.history))
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_text("epoch\n1\n")
    table = collect_histories(paths, root / "results" / study, precisions(resolved["recipes"]))
    assert {tuple(row) for row in table[list(KEYS)].itertuples(index=False)} == {
        tuple(getattr(network, key) for key in KEYS) for network in trained
    }


@repeatable
@given(some.text() | some.text(some.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)))
def test_any_text_is_shown_in_a_line(text):
    assert shown(text).isprintable()
    assert told(text).isprintable()
    assert len(told(text)) <= 120
    shown(text).encode()
    if is_line(text):
        assert len(f"{text}".splitlines()) <= 1
        text.encode()
