"""Any bytes, any values in any place: a configuration is a study, or is refused in lines that can be read."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as some

from samples import REPOSITORY
from studies import configuration
from winnow.config.read import read
from winnow.config.runnable import runnable
from winnow.config.study import Study
from winnow.errors import WinnowError
from winnow.study.artifacts import networks

# the same examples in every run: what chance finds once is a test of its own
repeatable = settings(database=None, deadline=None, derandomize=True, max_examples=300)
WHOLE = configuration() | yaml.safe_load((REPOSITORY / "config" / "demo.yaml").read_text()) | {"seeds": [0, 1]}
WHOLE["models"] |= {
    "tuned": {
        "name": "resnet18",
        "weights": "torchvision:IMAGENET1K_V1",
        "new_head": True,
        "trained": {"seconds": 100, "joules": 1.5},
        "training": {"freeze": ["conv1", "layer[12]"], "head_lr": 0.1},
    }
}
NUMBERS = some.one_of(
    some.integers(),
    some.sampled_from((0, 1, 2, 2**31, 2**32, 2**63, 2**64, 10**30, 10**400, -1)),
    some.floats(),
    some.sampled_from((float("inf"), float("nan"), 1e308, 5e-324, -0.0)),
)
WORDS = some.sampled_from(
    (
        "",
        "..",
        "a/b",
        "a\nb",
        "\x00",
        "\udcff",
        "nan",
        "1e999",
        "null",
        "true",
        "=",
        "&a [*a]",
        "{x}",
        "a" * 300,
        "data",
    )
)
SCALARS = some.one_of(some.none(), some.booleans(), NUMBERS, WORDS, some.text(max_size=12), some.dates(), some.binary())
KEYS = some.one_of(WORDS, some.text(max_size=5), some.integers(), some.none(), some.booleans())
VALUES = some.recursive(
    SCALARS, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of a configuration."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in entries:
        yield from places(entry, (*path, name))


PLACES = sorted(places(WHOLE), key=str)


def changed(path: tuple[Any, ...], value: Any, key: Any = None) -> Any:
    """Return the configuration with another value in a place, or a further key beside it."""
    if not path:
        return value
    config = copy.deepcopy(WHOLE)
    section = config
    for part in path[:-1]:
        section = section[part]
    if key is not None and isinstance(section, dict):
        section[key] = value
    else:
        section[path[-1]] = value
    return config


def checked(config: Any) -> Study | None:
    """Return the study of a configuration, all that is looked at before a run, or None if it is refused in lines."""
    try:
        study = runnable(config)
    except WinnowError as error:
        lines = str(error).splitlines()
        assert all(line.isprintable() and line.startswith("configuration: ") for line in lines)
        assert all(len(line) < 800 for line in lines)
        return None
    return study


def check_usable(study: Study) -> None:
    """What is made of a study must be possible: parameters as JSON, names of files that file systems take."""
    json.dumps(study.reported() | {"pruning": study.pruning, "retraining": study.retraining}).encode()
    for network in list(networks(study.reported()))[:200]:
        parts = f"{study.study}/{network.folder}/model.onnx".split("/")
        assert all(part not in ("", ".", "..") and len(part.encode()) <= 200 for part in parts)
        assert all(part.isprintable() for part in parts)


@repeatable
@given(some.sampled_from(PLACES), VALUES)
def test_any_value_in_any_place(path, value):
    if study := checked(changed(path, value)):
        check_usable(study)


@repeatable
@given(some.sampled_from(PLACES), KEYS, VALUES)
def test_any_key_in_any_section(path, key, value):
    if study := checked(changed(path, value, key)):
        check_usable(study)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("any") / "config.yaml"


def check_file(path: Path) -> None:
    try:
        values = read(path)
    except WinnowError as error:
        (line,) = str(error).splitlines()
        assert line.isprintable()
        assert line.startswith(f"configuration: {path}")
        assert len(line) < 800
    else:
        if study := checked(values):
            check_usable(study)


@repeatable
@given(content=some.binary(max_size=60))
def test_any_bytes(file, content):
    file.write_bytes(content)
    check_file(file)


@repeatable
@given(text=some.text(alphabet="ab:-[]{}&*!|>'\"%@`,?#\n\t 0.<=_~", max_size=40))
def test_any_text_of_the_characters_of_yaml(file, text):
    file.write_text(text)
    check_file(file)


@repeatable
@given(
    place=some.floats(0, 1),
    cut=some.integers(0, 20),
    put=some.binary(max_size=4) | some.sampled_from((b"\t", b"'", b"*a", b"&a ", b"<<: ", b"\n- ", b"!!int ", b"? ")),
)
def test_any_damage_of_a_shipped_configuration(file, place, cut, put):
    content = (REPOSITORY / "config" / "demo.yaml").read_bytes()
    start = int(place * len(content))
    file.write_bytes(content[:start] + put + content[start + cut :])
    check_file(file)


@repeatable
@given(value=VALUES)
def test_what_yaml_writes_of_any_value_is_read_or_refused(file, value):
    try:
        file.write_text(yaml.dump({"study": "s", "datasets": {"d": value}, "models": {"lenet5": {}}}), "utf-8")
    except (UnicodeEncodeError, ValueError):
        return
    check_file(file)


def test_the_whole_configuration_is_a_study():
    """Else nothing above would be reached behind its first mistake."""
    assert checked(WHOLE)
