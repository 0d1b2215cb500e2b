"""Configurations that cannot be a study: each ends in one line that names the key or the place, and says what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bad_configurations import FILES, MODULES, SETTINGS, whole

from dry_runs import dry_run
from projects import copy_project
from winnow.config.imports import check_imports
from winnow.config.read import read
from winnow.config.resolve import resolve
from winnow.config.runnable import runnable
from winnow.errors import WinnowError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the user's modules, where the program is started."""
    monkeypatch.chdir(tmp_path)
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def refused(path: Path) -> str:
    """Return the line that refuses a configuration before anything runs."""
    with pytest.raises(WinnowError) as caught:
        runnable(read(path))
    (line,) = str(caught.value).splitlines()
    assert line.isprintable()
    assert len(line) < 500
    return line


def test_there_are_enough_of_them():
    assert len(FILES) + len(SETTINGS) >= 100


@pytest.mark.parametrize(("content", "expected"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_file_that_cannot_be_read_is_one_line(folder, content, expected):
    path = folder / "study.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = refused(path)
    assert re.match(f"configuration: study.yaml{expected}", line), line


@pytest.mark.parametrize(("text", "expected"), SETTINGS, ids=[text[:60] for text, _ in SETTINGS])
def test_values_that_cannot_be_a_study_are_one_line(folder, text, expected):
    path = folder / "study.yaml"
    path.write_text(whole(text))
    line = refused(path)
    assert re.search(expected, line), line
    assert line.startswith("configuration: ")


def test_a_file_that_is_none_is_one_line(folder):
    (folder / "folder.yaml").mkdir()
    (folder / "study.yaml").write_text(whole("seeds: [0]"))
    assert refused(folder / "folder.yaml") == "configuration: folder.yaml is no file; name a file of YAML"
    assert refused(folder / "stdy.yaml") == "configuration: stdy.yaml does not exist; did you mean study.yaml?"
    assert refused(folder / "a\nb") == r"configuration: a\nb does not exist; name one that does"
    assert refused(folder / "study.yaml" / "x").startswith(
        "configuration: study.yaml/x cannot be read (Not a directory)"
    )
    assert refused(folder / ("x" * 300)).endswith("cannot be read (File name too long); name another file")
    assert refused(Path("a\0b")).startswith(r"configuration: a\x00b cannot be read (embedded null byte)")


def test_a_file_without_permission_is_one_line(folder, monkeypatch):
    (folder / "study.yaml").write_text(whole("seeds: [0]"))

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    line = refused(folder / "study.yaml")
    assert line == "configuration: study.yaml cannot be read (Permission denied); name another file"


@pytest.mark.parametrize(
    "text",
    [
        "# \ufeff\nstudy: s\n",
        "\ufeffstudy: s\n",
        '{\n\t"study": "s"}',
        "base: &b {epochs: 3}\n",
        "study: 007a\n",
        "study: 1e3\n",
        "study: 'true'\n",
        "study: '18'\n",
    ],
)
def test_what_only_looks_wrong_is_read(folder, text):
    path = folder / "study.yaml"
    path.write_text(text)
    assert all(isinstance(name, str) for name in read(path))


def test_sections_are_merged_and_shared_by_aliases(folder):
    path = folder / "study.yaml"
    path.write_text(
        whole("models: {a: &a {name: lenet5, training: &t {lr: 1}}, b: {<<: *a, training: {<<: *t, epochs: 9}}}")
    )
    study = resolve(read(path))
    assert [study.training[name]["lr"] for name in "ab"] == [1, 1]
    assert [study.training[name]["epochs"] for name in "ab"] == [50, 9]


NETWORK_MODULES = {
    "star.py": "from mine import *\n",
    "dynamic.py": "globals()['made'] = print\n",
    "lazy.py": "def __getattr__(name):\n    return print\n",
    "latin.py": "# -*- coding: latin-1 -*-\n# caf\u00e9\nnet = print\n",
    "deep/inner.py": "import numpy as np\nif True:\n    net = print\n",
    "raises.py": "net = print\nraise SystemExit\n",
}


@pytest.mark.parametrize(
    "factory",
    [
        "star:small",
        "dynamic:made",
        "lazy:net",
        "latin:net",
        "deep.inner:net",
        "raises:net",
        "json:loads",
        "torch.nn:ReLU",
    ],
)
def test_factories_that_may_be_there_are_not_refused(folder, factory):
    """None of their code runs: the first job says what is wrong with it."""
    for name, text in NETWORK_MODULES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode("latin-1"))
    path = folder / "study.yaml"
    path.write_text(whole(f"models: {{a: {{factory: '{factory}'}}}}"))
    check_imports(resolve(read(path)))


PROGRAMS = {
    "snakemake": ("-m", "snakemake", "-n", "--profile", "profiles/local", "--configfile"),
    "without a profile": ("-m", "snakemake", "-n", "--cores", "1", "--configfile"),
    "plan": ("workflow/scripts/plan.py", "--configfile"),
    "live": ("workflow/scripts/live.py",),
}
SAID_BY_ALL = {
    "twice": "study: s\nstudy: t\n",
    "unknown": whole("sedes: [1]"),
    "factory": whole("models: {a: {factory: 'mine:smalls'}}"),
}
SAID_BY_WINNOW = {
    "latin": "study: s\n# caf\u00e9\n".encode("latin-1"),
    "alias": b"study: s\nmodels: &a {b: *a}\n",
    "absent": None,
    "list": b"- study\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("bad") / "winnow project")
    (project.root / "mine.py").write_text(MODULES["mine.py"])
    return project


def said(project, program: str, name: str, content: str | bytes | None) -> list[str]:
    """Return the lines that a program prints of a configuration, but for what Snakemake says of every one."""
    path = project.root / "config" / f"{name}.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = [*PROGRAMS[program], f"config/{name}.yaml"]
    if arguments[:2] == ["-m", "snakemake"]:
        code, output = dry_run(arguments[2:], project.root, os.environ)
    else:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, timeout=120, check=False)
        code, output = done.returncode, done.stdout + done.stderr
    assert code == 1
    lines = output.splitlines()
    around = ("Using profile", "WorkflowError in file", "  File ")  # of Snakemake
    return [line.removeprefix("error: ") for line in lines if not line.startswith(around)]


@pytest.mark.parametrize("name", SAID_BY_ALL)
def test_every_program_says_the_same_line(project, name):
    programs = [program for program in PROGRAMS if program != "live" or name == "twice"]
    lines = {program: said(project, program, name, SAID_BY_ALL[name]) for program in programs}
    (line,) = lines["snakemake"]
    assert line.startswith("configuration: ")
    assert all(found == [line] for found in lines.values())


@pytest.mark.parametrize("name", SAID_BY_WINNOW)
def test_what_snakemake_cannot_read_is_the_same_line_with_a_profile(project, name):
    lines = {program: said(project, program, name, SAID_BY_WINNOW[name]) for program in ("snakemake", "plan")}
    (line,) = lines["snakemake"]
    assert line.startswith(f"configuration: config/{name}.yaml")
    assert all(found == [line] for found in lines.values())
