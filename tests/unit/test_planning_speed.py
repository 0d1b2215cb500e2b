"""What makes planning fast changes no answer, and still finds what it speeds up in this Snakemake."""

import gc
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import snakemake.api  # noqa: F401 (first, as in a Snakemake process)
from snakemake import common, dag, io, jobs, rules
from snakemake.io import IOFile, flag
from snakemake.resources import Resource
from snakemake.sourcecache import LocalSourceFile, SourceCache
from snakemake_interface_common.io import AnnotatedStringInterface

import winnow
from winnow.planning.snakemake_speedups import speed_up

SOURCES = Path(winnow.__file__).parents[1]


@pytest.fixture(autouse=True)
def usual_gc():
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)


def test_scripts_are_found_and_read_as_before(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("print('hello')\n")
    usual, fast = SourceCache(tmp_path / "usual"), SourceCache(tmp_path / "fast")
    speed_up(fast)
    for _ in range(2):
        found = fast.get_path(LocalSourceFile(str(script)))
        assert found.removeprefix(fast.runtime_cache_path) == usual.get_path(LocalSourceFile(str(script))).removeprefix(
            usual.runtime_cache_path
        )
        with fast.open(LocalSourceFile(str(script))) as file:
            assert file.read() == script.read_text()


def test_scripts_are_looked_up_once(tmp_path):
    """Fails when a new Snakemake has renamed what is kept, and planning is slow again."""
    sources = SourceCache(tmp_path)
    speed_up(sources)
    (tmp_path / "script.py").write_text("")
    for _ in range(3):
        sources.get_path(LocalSourceFile(str(tmp_path / "script.py")))
    assert sources._cache_entry.cache_info()[:2] == (2, 1)


def test_resources_keep_the_signature_they_had(tmp_path):
    code = "import inspect; from snakemake.resources import Resource; print(inspect.signature(Resource.evaluate))"
    usual = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    speed_up(SourceCache(tmp_path))
    assert str(inspect.signature(Resource.evaluate)) == usual
    resource = Resource("mem_mb", lambda _, attempt: 1000 * attempt)
    assert resource.evaluate({}, attempt=2, input=[], rulename="train").value == 2000


def test_parameters_of_functions_are_looked_up_once(tmp_path):
    """Fails when a new Snakemake asks for them in another way, and planning is slow again."""

    def usual(wildcards, output):
        return wildcards, output

    for _ in range(2):  # a second preparation is not a second layer
        speed_up(SourceCache(tmp_path))
    parameters = rules.get_function_params
    assert parameters is jobs.get_function_params is common.get_function_params
    assert parameters(usual) == inspect.signature(usual).parameters
    before = parameters.cache_info().hits
    assert common.get_input_function_aux_params(usual, {"output": 1, "threads": 2}) == {"output": 1}
    assert parameters.cache_info().hits == before + 1
    assert not hasattr(parameters.__wrapped__, "__wrapped__")


SCRIPTS = """
rule all:
    input: "one.txt", "two.txt"
rule fixed:
    output: "{name}.txt"
    conda: "env.yaml"
    params: asked=lambda wildcards: print("asked for", wildcards.name)
    script: "script.py"
rule other:
    output: "{name}.csv"
    conda: "{name}.yaml"
    params: name=lambda wildcards: f"script-{wildcards.name}"
    script: "{params.name}.py"
"""


@pytest.fixture
def workflow(tmp_path):
    """Plan files with the speed-ups, as `snakemake -n` does: what it says, and its exit status."""
    head = f"import sys; sys.path.insert(0, {str(SOURCES)!r})\n"
    head += "from winnow.planning.snakemake_speedups import speed_up\nspeed_up(workflow.sourcecache)\n"
    (tmp_path / "Snakefile").write_text(head + SCRIPTS)
    for name in ("env.yaml", "one.yaml"):
        (tmp_path / name).write_text("dependencies: []\n")
    for name in ("script.py", "script-one.py"):
        (tmp_path / name).write_text("")

    def plan(*targets):
        command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--rerun-triggers", "mtime", "params"]
        command += ["--", *targets]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return ran.stdout + ran.stderr, ran.returncode

    return plan


def test_a_plan_asks_for_the_parameters_of_one_new_job_of_a_rule(workflow):
    """To check the script, which all share."""
    said, status = workflow()
    assert status == 0
    assert re.search(r"^fixed +2$", said, re.MULTILINE)
    assert said.count("asked for") == 1


def test_a_missing_script_is_still_told(workflow, tmp_path):
    (tmp_path / "script.py").unlink()
    said, status = workflow()
    assert status
    assert "script.py" in said


def test_scripts_and_environments_with_wildcards_are_looked_up_for_each_job(workflow):
    """The first job of the rule has its script, the second has none, and a missing environment is told as well."""
    assert workflow("one.csv")[1] == 0
    said, status = workflow("one.csv", "two.csv")
    assert status
    assert "script-two.py" in said or "two.yaml" in said


def test_a_flag_is_found_where_it_was(tmp_path):
    values = [
        "text",
        Path("text"),
        IOFile("model.onnx", None),
        IOFile(flag("stream", "pipe"), None),
        flag("stream", "pipe"),
        flag("stream", "pipe", flag_value=0),
        flag(lambda _: "made", "ancient"),
        lambda _: "made",
        ["several", "files"],
        None,
    ]
    names = ("pipe", "ancient", "temp")
    usual = [
        [isinstance(value, AnnotatedStringInterface) and value.is_flagged(name) for name in names] for value in values
    ]
    assert [any(found) for found in usual] == [False, False, False, True, True, False, True, False, False, False]
    speed_up(SourceCache(tmp_path))
    assert len({home.is_flagged for home in (io, dag, jobs, rules)}) == 1
    assert [[io.is_flagged(value, name) for name in names] for value in values] == usual


def test_flags_of_files_are_still_told(tmp_path):
    speed_up(SourceCache(tmp_path))
    files = [IOFile("model.onnx", None), IOFile(flag("stream", "pipe"), None), "text"]
    assert jobs.format_files(files, as_output=True) == ["model.onnx", "stream (pipe)", "text"]
    assert {type(name) for name in jobs.format_files(files)} == {str}
