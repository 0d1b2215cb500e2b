"""Jobs of one machine share its GPUs: tested with numbers instead of GPUs, in processes of their own."""

import os
import signal
import subprocess
import sys

import pytest

from samples import REPOSITORY

JOB = """
import os, sys
from pathlib import Path
from winnow.train.gpu_slots import claim_gpu
claimed = claim_gpu(Path(sys.argv[1]))
assert claim_gpu(Path(sys.argv[1])) is None
print(claimed, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start a job that claims a GPU, says which, and holds it until it is ended."""
    jobs = []

    def start(**environment: str) -> subprocess.Popen:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA_", "SLURM_"))}
        variables = kept | {"PYTHONPATH": str(REPOSITORY / "workflow/scripts")} | environment
        command = [sys.executable, "-c", JOB, str(tmp_path / "locks")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        jobs.append(subprocess.Popen(command, env=variables, **pipes))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()
        job.communicate()


def claimed(job: subprocess.Popen) -> str:
    claimed, visible = job.stdout.readline().split()
    assert claimed == visible
    return claimed


def test_jobs_that_start_together_spread_over_the_gpus(start):
    jobs = [start(CUDA_VISIBLE_DEVICES="0,1,3") for _ in range(6)]
    assert sorted(claimed(job) for job in jobs) == ["0", "0", "1", "1", "3", "3"]


def test_a_gpu_is_free_again_however_its_job_ends(start):
    jobs = [start(CUDA_VISIBLE_DEVICES="0,1") for _ in range(2)]
    places = {claimed(job): job for job in jobs}
    assert places.keys() == {"0", "1"}
    places["1"].send_signal(signal.SIGKILL)
    places["1"].wait()
    assert claimed(start(CUDA_VISIBLE_DEVICES="0,1")) == "1"


def test_without_a_choice_nothing_is_claimed(start, tmp_path):
    chosen = start(CUDA_VISIBLE_DEVICES="0,1", SLURM_JOB_ID="7")
    assert chosen.stdout.readline() == "None 0,1\n"
    none = start(CUDA_VISIBLE_DEVICES="")
    assert none.stdout.readline() == "None \n"
    assert not (tmp_path / "locks").exists()


def test_gpus_are_counted_by_the_driver(start, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 0\necho 1\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    jobs = [start(PATH=f"{tmp_path}:{os.environ['PATH']}") for _ in range(2)]
    assert sorted(claimed(job) for job in jobs) == ["0", "1"]
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no driver >&2\nexit 9\n")
    assert start(PATH=f"{tmp_path}:{os.environ['PATH']}").stdout.readline() == "None None\n"
