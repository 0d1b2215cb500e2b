"""One cluster for all tests in this folder."""

from __future__ import annotations

import os
import shutil

import pytest

from clusters import NAME, cluster_name, cluster_script
from requirements import lacking


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """The test cluster: the one that runs, else one for this session. No test touches a cluster of another name."""
    if shutil.which("sbatch") is None:
        lacking("sbatch is missing: `tests/slurm/slurm-cluster.sh start` installs Slurm's packages and starts it")
    name = cluster_name()
    if name not in (None, NAME):
        lacking(f"Slurm's commands talk to the cluster {name}, which is no test cluster")
    if name is None and (os.geteuid() != 0 or not all(map(_installed, ("slurmctld", "slurmd", "munged")))):
        lacking("no cluster answers, and starting one takes root and the packages slurmctld, slurmd and munge")
    if name == NAME:
        yield
        return
    try:
        cluster_script("start")
        yield
    finally:
        cluster_script("stop")


def _installed(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None
