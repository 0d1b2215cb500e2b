"""A job that is killed between any two of its writes ends, at the next attempt, in all of its outputs to the byte."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from samples import REPOSITORY

SOAK = "WINNOW_SOAK" in os.environ  # every point, in `make soak`
RULES = [("train", 7, 45), ("retrain", 7, 30), ("train_quantized", 17, 40)]  # the last: how many points, at least


@pytest.mark.timeout(4 * 3600 if SOAK else 1500)  # each point of `make soak` is two starts of a job
@pytest.mark.parametrize(("rule", "stride", "least"), RULES)
def test_no_kill_point_loses_a_training_run(tmp_path, rule, stride, least):
    program = Path(__file__).with_name("killed_jobs.py")
    command = [sys.executable, str(program), str(tmp_path), rule, "1" if SOAK else str(stride)]
    paths = os.pathsep.join(str(REPOSITORY / folder) for folder in ("workflow/scripts", "tests"))
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    first, *mistakes = done.stdout.splitlines() or [done.stderr[-2000:]]
    assert mistakes == []
    counted = re.fullmatch(r"(\d+) of (\d+)", first)
    assert counted, first
    assert int(counted[2]) >= least
    if SOAK:
        assert int(counted[1]) > int(counted[2])
