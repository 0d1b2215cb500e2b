"""A real Slurm on this machine, and what tests ask of it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

from projects import Project
from samples import REPOSITORY

SCRIPT = REPOSITORY / "tests/slurm/slurm-cluster.sh"
NAME = "winnow-test"
# as a user runs it, but with a first look at a job after a second instead of twenty
SLURM = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "15")


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def cluster_script(*arguments: str) -> None:
    done = subprocess.run(["bash", str(SCRIPT), *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def cluster_name() -> str | None:
    """The name of the cluster that Slurm's commands talk to, if any answers."""
    try:
        return re.search(r"ClusterName\s*=\s*(\S+)", slurm("scontrol", "show", "config")).group(1)
    except (subprocess.SubprocessError, OSError):
        return None


def jobs(project: Project) -> list[dict[str, str]]:
    """Every job the cluster remembers of a project, ended ones too, as `scontrol show job` tells it."""
    lines = slurm("scontrol", "show", "job", "--oneliner", "--detail").splitlines()
    found = []
    for line in lines:
        if f"WorkDir={project.root} " in f"{line} ":
            # values may hold spaces, and one may follow them, but no other key
            found.append(dict(re.findall(r"(\w+)=(.*?) *(?= [\w/:]+=|$)", line)))
    return found


def jobs_of(project: Project, rule: str) -> list[dict[str, str]]:
    return [job for job in jobs(project) if re.match(rf"\w+: (\S+\+)?{rule}( of |\+|$)", job.get("Comment", ""))]


def wait(condition: Callable[[], object], seconds: float = 600, seen: Callable[[], str] = lambda: "") -> object:
    """Return the first true value of a condition; the limit is for what hangs, not for what is slow.

    Args:
        seen: tells what there was instead.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError(f"{condition.__name__} did not come true in {seconds} s\n{seen()}")
