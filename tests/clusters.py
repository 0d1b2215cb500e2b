"""A real Slurm on this machine, and what tests ask of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

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


class FaultySlurm:
    """Slurm's commands for one project, which fail in Slurm's own words while a test wants them to."""

    def __init__(self, project: Project):
        self._folder = project.root / "faults"
        self._folder.mkdir()
        for name in ("squeue", "sbatch", "scontrol", "sinfo", "sacct", "scancel"):
            path = self._folder / name
            path.write_text(_FAULTY.format(folder=self._folder, name=name, command=shutil.which(name)))
            path.chmod(0o755)
        # and a machine of its own: what is timed does not wait for jobs of other projects
        temporary = tempfile.mkdtemp()
        self.project = replace(
            project, environment={"PATH": f"{self._folder}:{os.environ['PATH']}", "TMPDIR": temporary}
        )

    def fails(self, words: str, *commands: str) -> None:
        """Let commands fail with these words, from now on."""
        for name in commands or ("squeue", "sbatch", "scontrol", "sinfo", "sacct", "scancel"):
            (self._folder / f"{name}.fails").write_text(words)

    def loses_logs(self) -> None:
        """Let nodes find no room for the logs of jobs that are submitted from now on."""
        (self._folder / "no-logs").touch()

    def works(self) -> None:
        for path in self._folder.glob("*.fails"):
            path.unlink()

    def calls(self, command: str) -> int:
        """How often a command was called."""
        path = self._folder / f"{command}.calls"
        return len(path.read_text().splitlines()) if path.exists() else 0


_FAULTY = """#!/bin/bash
echo >> '{folder}/{name}.calls'
words=$(cat '{folder}/{name}.fails' 2> /dev/null) && {{ echo "$words" >&2; exit 1; }}
[ {name} = sbatch ] && [ -e '{folder}/no-logs' ] && set -- "$@" --output=/no/such/folder/%j.log
exec {command} "$@"
"""


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
