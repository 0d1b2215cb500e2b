"""What makes planning fast changes no answer, and still finds what it speeds up in this Snakemake."""

import gc
import inspect
import subprocess
import sys

import pytest
from snakemake import common, jobs, rules
from snakemake.resources import Resource
from snakemake.sourcecache import LocalSourceFile, SourceCache

from winnow.planning.snakemake_speedups import speed_up


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
