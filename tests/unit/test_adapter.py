"""What every script does around its library call, in a process of its own: it sets up logging for all of it."""

import os
import select
import socket
import subprocess
import sys

import pytest

from samples import REPOSITORY
from winnow.refusal import refusal

PROGRAM = """
import sys
from types import SimpleNamespace

wildcards = {"dataset": "d", "model": "m", "seed": "0", "run": "dense"}
files = {"log": ["logs/log"], "input": ["in/weights.safetensors", "in/start.safetensors"], "output": ["out/model.onnx"]}
snakemake = SimpleNamespace(threads=1, rule="calibrate", wildcards=wildcards, **files)

from adapter import job
from winnow.errors import WinnowError

if sys.argv[2:]:
    exec(sys.argv[2])
with job(snakemake):
    exec(sys.argv[1])
"""
RUN = "d/m/seed0/dense"
RAISED = {
    'raise WinnowError("layer 3 is random")': f"error: {RUN}: layer 3 is random",
    f'raise WinnowError("{RUN}: layer 3 is random")': f"error: {RUN}: layer 3 is random",
    "[][1]": f"error: {RUN}: calibrate failed (IndexError: list index out of range); the log has the traceback",
}


RAISED |= dict.fromkeys(
    (
        "bytearray(2**60)",
        "import numpy; numpy.empty(2**50)",
        'raise RuntimeError("[enforce fail] DefaultCPUAllocator: can\'t allocate memory: you tried")',
        'raise WinnowError("a step fails") from RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")',
    ),
    f"error: {RUN}: calibrate ran out of memory; give it more (set-resources in the profile: mem_mb of calibrate), "
    "or use smaller batches or images",
)


def started(tmp_path, *code: str) -> subprocess.Popen:
    """Start a job that executes code; a second piece is executed while it is still importing."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    command = [sys.executable, "-c", PROGRAM, *code]
    return subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def last_line(tmp_path) -> str:
    return (tmp_path / "logs/log").read_text().splitlines()[-1].partition(" ")[2]


@pytest.mark.parametrize("raised", RAISED)
def test_an_error_is_one_line_that_names_the_run_once(raised, tmp_path):
    process = started(tmp_path, raised)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert last_line(tmp_path) == RAISED[raised]
    if "IndexError" not in RAISED[raised]:
        assert b"Traceback" not in errors
    final = "layer 3 is random" in raised
    assert (refusal(tmp_path / "logs/log") is not None) == final


def test_an_error_that_the_user_must_mend_is_left_for_snakemake_until_the_next_attempt(tmp_path):
    started(tmp_path, 'raise WinnowError("one\\nand another")').communicate()
    assert refusal(tmp_path / "logs/log") == "one; and another"
    for passing in ("pass", "[][1]", "bytearray(2**60)"):
        started(tmp_path, passing).communicate()
        assert refusal(tmp_path / "logs/log") is None


def test_a_job_that_dies_while_it_imports_has_a_log(tmp_path):
    process = started(tmp_path, "pass", "import no_such_library")
    process.communicate()
    assert process.returncode == 1
    cause = "ModuleNotFoundError: No module named 'no_such_library'"
    assert last_line(tmp_path) == f"error: {RUN}: calibrate failed ({cause}); the log has the traceback"


def test_a_second_writer_ends_with_one_line_that_names_the_first(tmp_path):
    first = started(tmp_path, 'import logging; logging.info("mine"); print("ready", flush=True); sys.stdin.read()')
    assert first.stdout.readline() == b"ready\n"
    second = started(tmp_path, "pass", "pass")
    _, errors = second.communicate(timeout=100)
    assert second.returncode == 1
    writer = f"process {first.pid} on {socket.gethostname()}"
    assert last_line(tmp_path) == f"error: {RUN}: out/model.onnx: is being written by {writer}; wait for it, or end it"
    assert b"Traceback" not in errors
    assert "mine" in (tmp_path / "logs/log").read_text()
    first.communicate()
    assert first.returncode == 0
    assert not list((tmp_path / "out").iterdir())


def test_the_lock_of_a_killed_writer_is_free(tmp_path):
    first = started(tmp_path, 'print("ready", flush=True); sys.stdin.read()')
    first.stdout.readline()
    first.kill()
    first.wait()
    second = started(tmp_path, "pass")
    second.communicate()
    assert second.returncode == 0
    assert not list((tmp_path / "out").iterdir())


def test_a_job_clears_up_after_killed_attempts_and_discards_states_of_what_it_reads(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    for name in (".model.onnx.a1_b2c3z", ".model.onnx.mine", ".other.onnx.a1_b2c3z"):
        (tmp_path / "out" / name).touch()
    (tmp_path / "in" / "weights.resume").touch()
    process = started(tmp_path, "pass")
    process.communicate()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".model.onnx.mine", ".other.onnx.a1_b2c3z"]
    assert not (tmp_path / "in" / "weights.resume").exists()


def test_a_job_ends_with_what_started_it(tmp_path):
    """Between the two lies a shell, which outlives the one and does not tell the other."""
    snakemake = tmp_path / "snakemake"
    snakemake.write_text(
        "import subprocess, sys\n"
        "subprocess.run(['bash', '-c', '\"$@\"; true', 'bash', sys.executable, '-c', *sys.argv[1:]])\n"
    )
    code = "print(os.getpid(), flush=True); import time; time.sleep(100)"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    command = [sys.executable, str(snakemake), "import os\n" + PROGRAM, code]
    parent = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    child = int(parent.stdout.readline())
    handle = os.pidfd_open(child)
    parent.kill()
    parent.wait()
    assert select.select([handle], [], [], 60)[0]
    assert last_line(tmp_path) == f"snakemake (process {parent.pid}) has ended, and so does this job"


def test_nothing_is_collected_while_a_job_imports_and_what_it_makes_itself_is(tmp_path):
    process = started(tmp_path, "print(gc.isenabled(), gc.get_freeze_count() > 0)", "import gc; print(gc.isenabled())")
    assert process.communicate()[0].decode().splitlines() == ["False", "True True"]
