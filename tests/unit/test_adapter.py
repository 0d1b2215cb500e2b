"""What every script does around its library call, in a process of its own: it sets up logging for all of it."""

import os
import subprocess
import sys

import pytest

from samples import REPOSITORY

PROGRAM = """
import sys
from types import SimpleNamespace

from adapter import job
from winnow.errors import WinnowError

wildcards = {"dataset": "d", "model": "m", "seed": "0", "run": "dense"}
with job(SimpleNamespace(log=[sys.argv[1]], threads=1, rule="calibrate", wildcards=wildcards)):
    exec(sys.argv[2])
"""
RUN = "d/m/seed0/dense"
RAISED = {
    'raise WinnowError("layer 3 is random")': f"error: {RUN}: layer 3 is random",
    f'raise WinnowError("{RUN}: layer 3 is random")': f"error: {RUN}: layer 3 is random",
    "[][1]": f"error: {RUN}: calibrate failed (IndexError: list index out of range); the log has the traceback",
}


@pytest.mark.parametrize("raised", RAISED)
def test_an_error_is_one_line_that_names_the_run_once(raised, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "log"), raised]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.partition(" ")[2] == RAISED[raised]
