"""Snakemake's Slurm executor, for a Slurm that misbehaves: patient where it is silent, brief where it refuses.

A class below that of the plugin, for the release that it was tried with. How the plugin could do the first part
itself is in docs/slurm-plugin.patch; tests/unit/test_cluster_executor.py fails once it does.
"""

from __future__ import annotations

import asyncio
import functools
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from winnow.cluster.commands import Unanswered, ask, ending_without_log
from winnow.cluster.jobs import comment_of, members
from winnow.cluster.limits import Partition, partitions
from winnow.cluster.pending import Watch
from winnow.cluster.requests import cap
from winnow.cluster.submission import concerns_all, is_passing, is_unanswered, sentence
from winnow.errors import WinnowError
from winnow.refusal import refuse

TRIED_WITH = "2.8.0"
_PAUSE = 10.0  # seconds between questions that nobody answered
_LOOK = 60.0  # seconds between looks at the queue, at most
_MIN_JOB_AGE = 300  # seconds that Slurm remembers an ended job, unless its configuration says otherwise
_LONGEST_NAME = 50  # characters of a job's name before the UUID of the run
_query, _min_job_age, _submit_command = plugin.query_job_status, plugin.get_min_job_age, plugin.get_submit_command


def install(study: str) -> None:
    """Let Snakemake's executor for Slurm be ours, if the plugin is the release that it was tried with."""
    if version("snakemake-executor-plugin-slurm") == TRIED_WITH:
        ExecutorPluginRegistry().get_plugin("slurm").executor = type(
            "StudyExecutor", (PatientExecutor,), {"study": study}
        )


class PatientExecutor(plugin.Executor):  # type: ignore[misc]
    """Submits, watches and cancels the jobs of a study, whose name a class below this one has."""

    study: str

    def __init__(self, workflow: Any, logger: Any) -> None:
        self._stopped = threading.Event()
        self._asked: dict[str, SubmittedJobInfo] = {}
        self._settled: set[str] = set()
        self._submitted: set[str] = set()
        self._refused: dict[tuple[object, ...], str] = {}
        self._this = threading.local()
        self._silent_since: float | None = None
        if not workflow.executor_settings.jobname_prefix:
            workflow.executor_settings.jobname_prefix = re.sub(r"[^A-Za-z0-9_-]", "-", self.study)[:_LONGEST_NAME]
        super().__init__(workflow, logger)  # begins to watch

    def __post_init__(self, test_mode: bool = False) -> None:
        plugin.get_min_job_age = self._age = _Remembered(_min_job_age, _MIN_JOB_AGE)
        plugin.query_job_status = functools.partial(_query_until, self._stopped)
        plugin.get_submit_command = functools.partial(_submit_command_with_comment, self.study)
        super().__post_init__(test_mode)
        self._watch = Watch(self.run_uuid, self.logger)

    # what runs

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        """As the plugin; but a job of which it says neither that it runs nor that it has ended is active still."""
        self._asked = {job.external_jobid: job for job in active_jobs}
        self._settled.clear()
        still = {job.external_jobid: job async for job in super().check_active_jobs(active_jobs)}
        lost = {n: job for n, job in self._asked.items() if n not in still and n not in self._settled}
        self._say_whether_it_answers(len(lost))
        if lost:
            self.next_seconds_between_status_checks = _PAUSE
        elif still:
            for number in await asyncio.to_thread(self._watch.look, list(still)):
                self.logger.warning(f"Slurm has forgotten job {number}; whether it ended well, its files tell")
                self.report_job_success(still.pop(number))  # without its files, Snakemake takes it for failed
            most = min(self._age() / 3, _LOOK)
            self.next_seconds_between_status_checks = min(self.next_seconds_between_status_checks, most)
        for job in [*still.values(), *lost.values()]:
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
        self._settled.add(job_info.external_jobid)
        super().report_job_success(job_info)

    def report_job_error(self, job_info: SubmittedJobInfo, msg: str | None = None, **details: Any) -> None:
        self._settled.add(job_info.external_jobid)
        log = (job_info.aux or {}).get("slurm_logfile")
        if log and not Path(log).exists():
            msg, details["aux_logs"] = ending_without_log(job_info.external_jobid, log), []
        super().report_job_error(job_info, msg=msg, **details)

    async def sleep(self) -> None:
        """As the base class, but not beyond the end."""
        end = time.monotonic() + self.next_seconds_between_status_checks
        while self.wait and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1))

    # what is to end

    def cancel(self) -> None:
        self._stopped.set()
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        super().cancel()

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """As the plugin, with those that are being asked about; if Slurm takes no orders, say what to order later."""
        known = {job.external_jobid: job for job in active_jobs}
        known |= {number: job for number, job in self._asked.items() if number not in self._settled}
        try:
            super().cancel_jobs(list(known.values()))
        except WorkflowError as error:
            numbers = " ".join(sorted(number for number in known if number))
            self.logger.error(f"{sentence(str(error))}. When Slurm answers again: scancel {numbers}")

    # what is to begin

    def run_job(self, job: Any) -> None:
        """Submit a job, as often as it takes where that may help."""
        key = tuple(str(job.resources.get(name)) for name in ("slurm_account", "slurm_partition", "qos"))
        said = self._refused.get(key) or self._submit(job)
        if is_passing(said):
            self.logger.warning(f"sbatch: {said}; asking again every {_PAUSE:.0f} s")
        while is_passing(said) and not self._stopped.is_set():
            self._stopped.wait(_PAUSE)
            if self._is_free_to_submit(job, said):
                said = self._submit(job)
        if said:
            if concerns_all(said):
                self._refused[key] = said
            for member in members(job)[:1]:
                if member.log and not is_passing(said):
                    refuse(member.log[0], f"Slurm refuses it: {said}")
            super()._report_job_error_threadsafe(SubmittedJobInfo(job), f"Slurm refuses it: {said}")

    def _known_partitions(self) -> dict[str, Partition]:
        try:
            return partitions()
        except WinnowError:  # what it cannot be held against is not lowered
            return {}

    def _submit(self, job: Any) -> str:
        """Return what Slurm said against it, nothing if it took the job."""
        self._this.said, self._this.submits = "", True
        try:
            if job.attempt > 1:
                cap(job, self._partitions or [], self._known_partitions())
            super().run_job(job)
        except Exception as error:  # the plugin's own handling of errors fails for groups
            self._this.said = str(error)
        finally:
            self._this.submits = False
        return sentence(self._this.said) if self._this.said else ""

    def _is_free_to_submit(self, job: Any, said: str) -> bool:
        """Whether Slurm has not got the job; one that it took without saying so is cancelled."""
        if not is_unanswered(said):
            return True
        try:
            listed = ask("squeue", "--noheader", f"--name={self.run_uuid}", "--format=%i|%k")
            comment = comment_of(self.study, job)
            numbers = [number for number, _, text in (line.partition("|") for line in listed) if text == comment]
            if twins := [number for number in numbers if number not in self._submitted]:
                ask("scancel", *twins)
        except Unanswered:
            return False
        return True

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        if getattr(self._this, "submits", False):
            self._this.said = msg
        else:
            super()._report_job_error_threadsafe(job_info, msg)

    def _report_job_submission_threadsafe(self, job_info: SubmittedJobInfo) -> None:
        self._submitted.add(job_info.external_jobid)
        super()._report_job_submission_threadsafe(job_info)


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


def _submit_command_with_comment(study: str, job: Any, params: Mapping[str, Any], **options: Any) -> str:
    """As the plugin's command line, but with a comment that says which job of which study it is."""
    command: str = _submit_command(job, {**params, "comment_str": comment_of(study, job)}, **options)
    return command
