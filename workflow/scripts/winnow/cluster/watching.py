"""Snakemake's Slurm executor, patient: no answer is no answer, and what is to end ends.

A class below that of the plugin. How the plugin could do the first part itself is in docs/slurm-plugin.patch;
tests/unit/test_cluster_executor.py fails once it does.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from winnow.cluster.commands import ending_without_log
from winnow.cluster.pending import Watch
from winnow.cluster.submission import sentence

PAUSE = 10.0  # seconds between questions that nobody answered
_LOOK = 60.0  # seconds between looks at the queue, at most
_MIN_JOB_AGE = 300  # seconds that Slurm remembers an ended job, unless its configuration says otherwise
_query, _min_job_age = plugin.query_job_status, plugin.get_min_job_age


class WatchingExecutor(plugin.Executor):  # type: ignore[misc]
    """Watches and cancels jobs."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        self._stopped = threading.Event()
        self._asked: list[SubmittedJobInfo] = []
        self._settled: set[int] = set()
        self._silent_since: float | None = None
        super().__init__(workflow, logger)  # begins to watch

    def __post_init__(self, test_mode: bool = False) -> None:
        plugin.get_min_job_age = self._age = _Remembered(_min_job_age, _MIN_JOB_AGE)
        plugin.query_job_status = functools.partial(_query_until, self._stopped)
        super().__post_init__(test_mode)
        self._watch = Watch(self.run_uuid, self.logger)

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        """As the plugin; but a job of which it says neither that it runs nor that it has ended is active still."""
        self._asked = list(active_jobs)
        self._settled.clear()
        still = [job async for job in super().check_active_jobs(active_jobs)]
        settled = self._settled.union(map(id, still))
        lost = [job for job in active_jobs if id(job) not in settled]
        self._say_whether_it_answers(len(lost))
        if lost:
            self.next_seconds_between_status_checks = PAUSE
        elif still:
            forgotten = await asyncio.to_thread(self._watch.look, {job.external_jobid for job in still})
            for number in forgotten:
                self.logger.warning(f"Slurm has forgotten job {number}; whether it ended well, its files tell")
            for job in (job for job in still if job.external_jobid in forgotten):
                self.report_job_success(job)  # without its files, Snakemake takes it for failed
            still = [job for job in still if job.external_jobid not in forgotten]
            most = min(self._age() / 3, _LOOK)
            self.next_seconds_between_status_checks = min(self.next_seconds_between_status_checks, most)
        for job in [*still, *lost]:
            yield job

    def _say_whether_it_answers(self, lost: int) -> None:
        if lost and self._silent_since is None:
            self._silent_since = time.monotonic()
            self.logger.warning(f"Slurm does not say how its {lost} jobs are; asking again until it does")
        elif not lost and self._silent_since is not None:
            seconds = time.monotonic() - self._silent_since
            self._silent_since = None
            self.logger.warning(f"Slurm answers again, after {seconds:.0f} s")

    def report_job_success(self, job_info: SubmittedJobInfo) -> None:
        self._settled.add(id(job_info))
        super().report_job_success(job_info)

    def report_job_error(self, job_info: SubmittedJobInfo, msg: str | None = None, **details: Any) -> None:
        self._settled.add(id(job_info))
        if job_info.aux and (done := job_info.aux.get("done")) and done.exists():
            self.report_job_success(job_info)  # it was another that failed on the node
            return
        log = (job_info.aux or {}).get("slurm_logfile")
        if log and not Path(log).exists():
            msg, details["aux_logs"] = ending_without_log(job_info.external_jobid, log), []
        super().report_job_error(job_info, msg=msg, **details)

    async def sleep(self) -> None:
        """As the base class, but not beyond the end."""
        end = time.monotonic() + self.next_seconds_between_status_checks
        while self.wait and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1))

    def cancel(self) -> None:
        self._stopped.set()
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        super().cancel()

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """As the plugin, with those that are being asked about; if Slurm takes no orders, say what to order later."""
        asked = [job for job in self._asked if id(job) not in self._settled]
        known = {job.external_jobid: job for job in [*active_jobs, *asked]}
        try:
            super().cancel_jobs(list(known.values()))
        except WorkflowError as error:
            numbers = " ".join(sorted(number for number in known if number))
            self.logger.error(f"{sentence(str(error))}. When Slurm answers again: scancel {numbers}")


class _Remembered:
    """A question whose last answer stands in while there is none."""

    def __init__(self, question: Callable[[], int | None], answer: int) -> None:
        self._question, self._answer = question, answer

    def __call__(self) -> int:
        self._answer = self._question() or self._answer
        return self._answer


async def _query_until(stopped: threading.Event, command: str, logger: Any) -> tuple[Any, Any]:
    """As the plugin's query, but at once without an answer when Snakemake is to end."""
    query: Awaitable[tuple[Any, Any]] = _query(command, logger)
    task = asyncio.ensure_future(query)
    while not task.done():
        await asyncio.wait({task}, timeout=0.2)
        if stopped.is_set() and not task.done():
            task.cancel()
            return None, None
    return task.result()
