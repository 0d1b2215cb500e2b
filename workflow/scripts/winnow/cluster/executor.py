"""Snakemake's Slurm executor for a study: submits what Slurm takes, as often as it takes, and shares whole nodes."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from winnow.cluster.commands import Unanswered, ask
from winnow.cluster.jobs import change, comment_of, members
from winnow.cluster.limits import Partition, partitions
from winnow.cluster.requests import cap
from winnow.cluster.sharing import Sharing, one_after_another, takes_whole_node
from winnow.cluster.submission import concerns_all, is_passing, is_unanswered, sentence
from winnow.cluster.watching import PAUSE, WatchingExecutor
from winnow.errors import WinnowError
from winnow.refusal import refuse

TRIED_WITH = "2.8.0"
_PLACES = 100  # of jobs in the queue
_LONGEST_NAME = 50  # characters of a job's name before the UUID of the run
_submit_command = plugin.get_submit_command


def install(study: str) -> str:
    """Let Snakemake's executor for Slurm be ours, if the plugin is the release that it was tried with.

    Returns:
        What to warn of on Slurm, if it is another.
    """
    found = version("snakemake-executor-plugin-slurm")
    if found != TRIED_WITH:
        return (
            f"snakemake-executor-plugin-slurm is {found}, and Winnow stands in for {TRIED_WITH} only: when Slurm does "
            "not answer, jobs may be waited for in vain; install what requirements.txt has"
        )
    ours = type("StudyExecutor", (PatientExecutor,), {"study": study})
    ExecutorPluginRegistry().get_plugin("slurm").executor = ours
    return ""


class PatientExecutor(WatchingExecutor):
    """Submits, watches and cancels the jobs of a study, whose name a class below this one has."""

    study: str

    def __init__(self, workflow: Any, logger: Any) -> None:
        self._submitted: set[str] = set()
        self._refused: dict[tuple[object, ...], str] = {}
        self._shared: dict[int, list[Any]] = {}  # by the first of those that share a node
        self._sharing = Sharing(workflow, most=max(1, (workflow.resource_settings.nodes or _PLACES) // 4))
        self._this = threading.local()
        if not workflow.executor_settings.jobname_prefix:
            name = re.sub(r"[^A-Za-z0-9_-]", "-", self.study)[:_LONGEST_NAME]
            workflow.executor_settings.jobname_prefix = name
        super().__init__(workflow, logger)

    def __post_init__(self, test_mode: bool = False) -> None:
        plugin.get_submit_command = functools.partial(_submit_command_with_comment, self._comment)
        super().__post_init__(test_mode)

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        self._submit_shared()
        async for job in super().check_active_jobs(active_jobs):
            yield job

    def run_jobs(self, jobs: list[Any]) -> None:
        """As the plugin; but jobs that take whole nodes wait for those that will share theirs."""
        whole = [job for job in jobs if takes_whole_node(job)]
        super().run_jobs([job for job in jobs if job not in whole])
        self._sharing.add(whole)
        self._submit_shared()

    def _submit_shared(self) -> None:
        for jobs in [] if self._stopped.is_set() else self._sharing.take():
            first = jobs[0]
            self._shared[id(first)] = jobs
            for job in jobs[1:]:
                self.run_job_pre(job)
            self._submit_job(first)

    def additional_general_args(self) -> str:
        """Run a job where Slurm starts its command: a job step would be one more Snakemake, of seconds for each job."""
        return ""

    def format_job_exec(self, job: Any) -> str:
        jobs = self._shared.get(id(job), [job])
        commands = [super(PatientExecutor, self).format_job_exec(each) for each in jobs]
        return one_after_another(commands, map(self._done, jobs)) if len(jobs) > 1 else commands[0]

    def _done(self, job: Any) -> Path:
        return Path(self.tmpdir, f"done-{job.jobid}-{job.attempt}")

    def run_job(self, job: Any) -> None:
        """Submit a job, as often as it takes where that may help."""
        key = tuple(str(job.resources.get(name)) for name in ("slurm_account", "slurm_partition", "qos"))
        said = self._refused.get(key) or self._submit(job)
        if is_passing(said):
            self.logger.warning(f"sbatch: {said}; asking again every {PAUSE:.0f} s")
        while is_passing(said) and not self._stopped.is_set():
            self._stopped.wait(PAUSE)
            if self._is_free_to_submit(job, said):
                said = self._submit(job)
        if not said:
            return
        if concerns_all(said):
            self._refused[key] = said
        for each in self._shared.pop(id(job), [job]):
            first = members(each)[0]
            if first.log and not is_passing(said):
                refuse(first.log[0], f"Slurm refuses it: {said}")
            super()._report_job_error_threadsafe(SubmittedJobInfo(each), f"Slurm refuses it: {said}")

    def _known_partitions(self) -> dict[str, Partition]:
        try:
            return partitions()
        except WinnowError:  # what it cannot be held against is not lowered
            return {}

    def _submit(self, job: Any) -> str:
        """Return what Slurm said against it, nothing if it took the job."""
        self._this.said, self._this.submits = "", True
        try:
            if len(jobs := self._shared.get(id(job), [job])) > 1:
                change(job, {"runtime": sum(int(each.resources.get("runtime", 0)) for each in jobs)})
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
            comment = self._comment(job)
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
        jobs = self._shared.pop(id(job_info.job), [job_info.job])
        for job in jobs:
            aux = {**(job_info.aux or {}), **({"done": self._done(job)} if len(jobs) > 1 else {})}
            super()._report_job_submission_threadsafe(SubmittedJobInfo(job, job_info.external_jobid, aux))

    def _comment(self, job: Any) -> str:
        return comment_of(self.study, *self._shared.get(id(job), [job]))


def _submit_command_with_comment(
    comment: Callable[[Any], str], job: Any, params: Mapping[str, Any], **options: Any
) -> str:
    """As the plugin's command line, but with a comment that says which job of which study it is."""
    command: str = _submit_command(job, {**params, "comment_str": comment(job)}, **options)
    return command
