"""Every word of the vocabulary: something computes with it, a phrase says it, a style shows it, the guide has it."""

import importlib
import itertools
import re
from pathlib import Path

import pandas as pd
import pytest

from samples import REPOSITORY
from winnow.check.trial import quantization
from winnow.config import choices
from winnow.errors import WinnowError
from winnow.results.wording import pruning_words
from winnow.study import pruning_axes, recipe_axes, vocabulary
from winnow.study.pruning_axes import REWINDS, SCOPES, SHUFFLES
from winnow.study.vocabulary import CRITERIA, PRECISIONS, RUNTIMES, SCORED, STRUCTURES
from winnow.study.words import NONE, Words

TABLES = [
    table
    for module in (vocabulary, pruning_axes, recipe_axes, choices)
    for table in vars(module).values()
    if isinstance(table, Words)
]
WORDS = [pytest.param(table, name, id=f"{table.kind}: {name}") for table in TABLES for name in table]
RULES = "".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
COMBINATIONS = list(itertools.product(CRITERIA, SCOPES, STRUCTURES, [*REWINDS, "epoch2"], SHUFFLES))
SHIPPING = ("load", "failure", "integer_layers")


def phrases(word) -> list[str]:
    return [getattr(word, name) for name in ("meaning", "label", "action") if hasattr(word, name)]


@pytest.mark.parametrize(("table", "name"), WORDS)
def test_every_word_has_a_phrase_and_a_line_in_the_guide(table, name):
    guide = (REPOSITORY / "config/README.md").read_text()
    assert f"`{name}`" in guide
    assert any(phrases(table[name])) or name == NONE


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_an_unknown_word_is_refused(table):
    with pytest.raises(WinnowError, match=re.escape(f"is no {table.kind}")):
        table["unheard-of"]


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS)
def test_every_precision_has_a_file_by_a_rule_or_a_hint_and_every_method_is_tried_before(precision):
    assert bool(precision.rule) != bool(precision.hint)
    assert precision.hint or f"rule {precision.rule}:" in RULES
    assert precision.hint or (REPOSITORY / f"workflow/scripts/{precision.rule}.py").exists()
    assert not precision.method or callable(quantization(precision.name))


@pytest.mark.parametrize("look", ["color", "marker", "hatch", "dashes", "column"])
def test_precisions_are_told_apart_by_every_look(look):
    assert len({getattr(precision, look) for precision in PRECISIONS.values()}) == len(PRECISIONS)


def test_precisions_are_told_apart_by_what_makes_them():
    assert len({(precision.rule, precision.hint) for precision in PRECISIONS.values()}) == len(PRECISIONS)


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)
def test_every_runtime_loads_networks(runtime):
    module = importlib.import_module(runtime.module)
    for function in SHIPPING if runtime.ships else ("load_module",):
        assert callable(getattr(module, function))
    assert not runtime.ships or [runtime.package] == re.findall(rf"^{runtime.package}(?===)", _locked(), re.MULTILINE)


def _locked() -> str:
    return Path(REPOSITORY / "requirements.txt").read_text()


def test_one_runtime_is_preferred():
    assert sum(RUNTIMES[name].preferred for name in SCORED) == 1
    assert not any(runtime.preferred for name, runtime in RUNTIMES.items() if name not in SCORED)


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
def test_every_criterion_scores(criterion):
    assert callable(importlib.import_module(criterion.module).score)
    assert not (criterion.control and (criterion.magnitude or criterion.gradient))


@pytest.mark.parametrize("axes", COMBINATIONS, ids=" ".join)
def test_every_combination_can_be_told(axes):
    criterion, scope, structure, rewind, shuffle = axes
    row = {"run": "x/round1", "criterion": criterion, "scope": scope, "structure": structure, "rewind": rewind}
    row |= {"shuffle": shuffle, "rounds": 1, "round": 1, "achieved_sparsity": 0.5}
    text = pruning_words(pd.Series(row))
    for words in (CRITERIA[criterion].meaning, SCOPES[scope].meaning, STRUCTURES[structure].units):
        assert words in text
    assert text.endswith(SHUFFLES[shuffle].meaning)
