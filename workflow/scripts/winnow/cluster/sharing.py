"""Jobs that ask for a whole node, and share one: a node is emptied once for all files of a run that are timed."""

from __future__ import annotations

import shlex
import threading
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from winnow.cluster.jobs import members

_SOON = 60  # minutes: what needs a job that asks for more is not waited for
_Key = tuple[str, str]


def takes_whole_node(job: Any) -> bool:
    """Whether a job lets nobody else onto its node."""
    return not job.is_group() and "--exclusive" in str(job.resources.get("slurm_extra", "")).split()


class Sharing:
    """Whole-node jobs of one rule and run, until no other of them will follow soon.

    None waits for one that needs a training run, or what has failed. All methods may be called by any thread.

    Args:
        most: as many jobs may wait, for they take places of the queue; then those that have waited longest are let go.
    """

    def __init__(self, workflow: Any, most: int) -> None:
        self._workflow, self._most = workflow, most
        self._waiting: defaultdict[_Key, list[Any]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, jobs: Iterable[Any]) -> None:
        with self._lock:
            for job in jobs:
                self._waiting[_key(job)].append(job)

    def take(self) -> list[list[Any]]:
        """Return the jobs that are to be submitted now, by node, and forget them."""
        with self._lock:
            keys = [key for key in self._waiting if self._nothing_else_runs() or not self._more_to_come(key)]
            while sum(len(jobs) for key, jobs in self._waiting.items() if key not in keys) > self._most:
                keys.append(next(key for key in self._waiting if key not in keys))
            return [self._waiting.pop(key) for key in keys]

    def _nothing_else_runs(self) -> bool:
        """Whether nobody else can make progress: Snakemake begins nothing new, say after a SIGTERM."""
        waiting = {id(job) for jobs in self._waiting.values() for job in jobs}
        return all(id(job) in waiting for job in self._workflow.scheduler.running)

    def _more_to_come(self, key: _Key) -> bool:
        scheduler = self._workflow.scheduler
        here = set(map(id, self._waiting[key]))
        failed = {id(member) for job in scheduler.failed for member in members(job)}
        running = {id(member) for job in scheduler.running for member in members(job)}
        others = [job for job in self._planned[key] if id(job) not in here | running]
        return any(self._follows_soon(job, failed) for job in others)

    def _follows_soon(self, job: Any, failed: set[int]) -> bool:
        dag = self._workflow.dag
        if dag.finished(job):
            return False
        before = dag.bfs(dag.dependencies, job, stop=lambda other: not dag.needrun(other) or dag.finished(other))
        return all(id(other) not in failed and other.resources.get("runtime", 0) <= _SOON for other in before)

    @cached_property
    def _planned(self) -> dict[_Key, list[Any]]:
        planned = defaultdict(list)
        for job in self._workflow.dag.needrun_jobs(exclude_finished=False):
            if takes_whole_node(job):
                planned[_key(job)].append(job)
        return planned


def _key(job: Any) -> _Key:
    """Return the rule, and the run: the logs of all files of a run are in one folder."""
    return str(job.rule.name), str(Path(job.log[0]).parent) if job.log else ""


def one_after_another(commands: Iterable[str], done: Iterable[Path]) -> str:
    """Return a command that runs others, whatever becomes of those before; each that ends well leaves its file.

    Without a dollar sign, for it goes through a shell in double quotes.
    """
    files = [shlex.quote(str(path)) for path in done]
    each = [f"({command}) && touch {file}" for command, file in zip(commands, files, strict=True)]
    return "; ".join([*each, " && ".join(f"test -e {file}" for file in files)])
