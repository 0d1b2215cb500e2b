"""Locks and environments agree, and say nothing about where packages come from."""

import re
import tomllib

import pytest
import yaml

from samples import REPOSITORY


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", (REPOSITORY / name).read_text(), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_locks_have_hashes_and_no_addresses(name):
    text = (REPOSITORY / name).read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-z])", text.strip()) if "==" in entry)


def test_the_development_lock_extends_the_other():
    base, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert base.items() <= development.items()
    assert "nncf" in development.keys() - base.keys()


def test_locks_and_the_conda_environment_hold_every_dependency():
    dependencies = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.match(r"[a-z0-9-]+", dependency).group() for dependency in dependencies}
    locked = pins("requirements.txt")
    environment = yaml.safe_load((REPOSITORY / "workflow/envs/winnow.yaml").read_text())
    packages = dict(entry.split("==") for entry in environment["dependencies"][-1]["pip"])
    assert names == packages.keys()
    assert all(version in locked[name] for name, version in packages.items())
