"""What CONTRIBUTING.md tells people to do, done: a new criterion in a copy of the project, the map, the hooks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_packages import ORDER

from projects import job_counts
from samples import REPOSITORY

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text()
BLOCK = re.compile(r"^```(python|diff) file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("Snakefile", "config", "profiles", "workflow", "tests", "docs", "README.md", "pyproject.toml")


def changed(before: str, diff: str) -> str:
    """Return a text with the lines added that a diff without line numbers adds."""
    lines = diff.splitlines(keepends=True)
    assert {line[0] for line in lines} == {" ", "+"}
    old = "".join(line[1:] for line in lines if line[0] == " ")
    assert before.count(old) == 1, f"not once in the file:\n{old}"
    return before.replace(old, "".join(line[1:] for line in lines))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with the blocks of "Add a criterion", after `make docs` wrote its guide and schema."""
    root = tmp_path_factory.mktemp("contributing") / "winnow"
    root.mkdir()
    for name in COPIED:
        copied = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copied(REPOSITORY / name, root / name)
    for kind, name, content in BLOCK.findall(TEXT):
        path = root / name
        assert path.exists() == (kind == "diff"), name
        path.write_text(changed(path.read_text(), content) if kind == "diff" else content)
    run(root, "-m", "winnow.config.guide")
    return root


def run(root: Path, *arguments: str) -> str:
    """Run Python in a copy of the project and return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(root / "workflow" / "scripts")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout + done.stderr


def test_the_new_criterion_scores_prunes_and_keeps_the_contracts_of_the_house(project):
    tests = [name for _, name, _ in BLOCK.findall(TEXT) if name.startswith("tests/")]
    assert tests
    contracts = [f"tests/unit/test_{name}.py" for name in ("packages", "configuration")]
    run(project, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *tests, *contracts)


def test_the_new_criterion_is_written_as_the_project_is(project):
    files = [name for _, name, _ in BLOCK.findall(TEXT)]
    run(project, "-m", "ruff", "check", "--no-cache", *files)
    run(project, "-m", "ruff", "format", "--check", "--no-cache", *files)


def test_the_new_criterion_is_planned(project):
    config = yaml.safe_load((project / "config" / "demo.yaml").read_text())
    config["pruning"] = {"criterion": ["l1", "lamp"], "ratio": [0.9], "models": ["lenet5"]}
    (project / "config" / "lamp.yaml").write_text(yaml.safe_dump(config))
    profile = ("--profile", "profiles/local", "--configfile", "config/lamp.yaml")
    assert job_counts(run(project, "-m", "snakemake", "-n", *profile))["prune"] == 2
    assert "lamp-global-unstructured-0.9" in run(project, "-m", "snakemake", "-n", *profile)
    assert "`lamp`: smallest share of what the layer keeps" in (project / "config" / "README.md").read_text()


def test_the_map_shows_every_package_in_its_order():
    table = TEXT.partition("| package | holds |")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == ORDER


def test_files_that_the_text_names_are_there():
    for path in re.findall(r"\b(?:tests|benchmarks|workflow|docs|config)/[\w/.-]+\.\w+\b", TEXT):
        new = any(name == path for kind, name, _ in BLOCK.findall(TEXT) if kind == "python")
        assert new or (REPOSITORY / path).exists(), path


def test_hooks_run_what_lint_runs():
    lint = (REPOSITORY / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    commands = [line.strip().removeprefix("$(BIN)/python -m ").split()[0] for line in lint.splitlines()[1:]]
    hooks = [
        hook
        for repo in yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repo["hooks"]
    ]
    assert {hook["entry"].removeprefix(".venv/bin/python -m ").split()[0] for hook in hooks} <= set(commands)
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/python -m ") for hook in hooks)
