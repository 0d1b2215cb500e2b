"""Failed jobs, each in one line that says why, in place of what Snakemake prints of them; and when to give one up."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake.jobs import GroupJob, Job
from snakemake_interface_logger_plugins.common import LogEvent

from winnow.refusal import refusal, refuse
from winnow.study.status import Failure, last_error

_STATUS = re.compile(r"SLURM-job '([\d_]+)' failed.*SLURM status is: '(\w+)'", re.DOTALL)
_TAIL = "For further error details see the cluster/cloud log and the log files of the involved rule(s)."


class Failures(logging.Filter):
    """Stands in for Snakemake's own words on jobs that failed.

    Of a group only the members are named that ended in an error: the others were made in vain, or not at all.

    Args:
        logs: results/<study>/logs.
    """

    def __init__(self, logs: Path) -> None:
        super().__init__()
        self._logs = logs
        self._lines: dict[int, str] = {}
        self._causes: dict[int, tuple[str, str]] = {}
        self._group: Sequence[Mapping[str, Any]] = ()
        self._at_fault: set[int] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        event, data = getattr(record, "event", None), vars(record)
        if event == LogEvent.GROUP_ERROR:
            self._group, self._at_fault = data["job_error_info"], set()
            return False
        if event != LogEvent.JOB_ERROR:
            return True
        if data["indent"] and not self._is_at_fault(data):
            return False
        record.event = None
        record.msg = self._lines[data["jobid"]] = self._line(data)
        return True

    def _is_at_fault(self, data: Mapping[str, Any]) -> bool:
        """Whether a member of a group ended in an error of its own; if none did, the first stands for all."""
        if not self._at_fault:  # only what is told of members has Slurm's words, and the same ones
            members = [{**member, "rule_msg": data["rule_msg"]} for member in self._group]
            guilty = {member["jobid"] for member in members if self._own_cause(member)}
            self._at_fault = guilty or {members[0]["jobid"]}
        return data["jobid"] in self._at_fault

    def summary(self, jobs: Iterable[Job | GroupJob]) -> str:
        """Return one line for each job that has failed for good, and has not been left out as innocent."""
        lines = [self._lines[number] for number in self._failed(jobs)]
        if not lines:
            return ""
        return "\n".join([f"{len(lines)} failed, with all that needs them:", *sorted(f"  {line}" for line in lines)])

    def leave_word(self, jobs: Iterable[Job | GroupJob]) -> None:
        """Write beside the log of each of these why it failed, for `make live`: what was ended cannot say so itself."""
        for log, cause in (self._causes[number] for number in self._failed(jobs)):
            if log and refusal(log) is None:
                refuse(log, cause)

    def _failed(self, jobs: Iterable[Job | GroupJob]) -> list[int]:
        single = (member for job in jobs for member in (job.jobs if job.is_group() else [job]))
        return [job.jobid for job in single if job.jobid in self._lines]

    def _line(self, data: Mapping[str, Any]) -> str:
        cause = self._own_cause(data) or _cause_outside(data)
        log = data["log"][0] if data["log"] else ""
        self._causes[data["jobid"]] = (log, cause)
        return f"{self._failure(data, cause)}" + (f" (log: {log})" if Path(log).is_file() else "")

    def _own_cause(self, data: Mapping[str, Any]) -> str | None:
        """Return what the job itself says; nothing if it was ended, or never began, for then its log is an old one."""
        job_log = data["log"][0] if data["log"] else ""
        if error := refusal(job_log):
            return error
        status, words = _STATUS.search(data["rule_msg"] or ""), data["rule_msg"]
        return last_error(Path(job_log)) if not words or (status and status[2] == "FAILED") else None

    def _failure(self, data: Mapping[str, Any], error: str) -> Failure:
        place = Path(data["log"][0] if data["log"] else data["rule_name"]).with_suffix("")
        run = place.relative_to(self._logs / data["rule_name"]).as_posix() if self._is_ours(place, data) else ""
        return Failure(data["rule_name"], run, error)

    def _is_ours(self, place: Path, data: Mapping[str, Any]) -> bool:
        return place.is_relative_to(self._logs / data["rule_name"])


def _cause_outside(data: Mapping[str, Any]) -> str:
    """Return what ended a job that could not say so itself."""
    words = (data["rule_msg"] or "").replace(_TAIL, "").strip()
    if status := _STATUS.search(words):
        return f"Slurm job {status[1]} ended as {status[2]}"
    return " ".join(words.split()) or "ended without a word; it may have been killed"


def give_up_what_is_refused() -> None:
    """Let Snakemake in this process not attempt a job again whose error no further attempt would mend."""
    Job.restart_times = property(lambda job: 0 if _is_refused(job) else job.rule.restart_times)
    GroupJob.restart_times = property(
        lambda group: 0 if any(map(_is_refused, group.jobs)) else max(job.restart_times for job in group.jobs)
    )


def _is_refused(job: Job) -> bool:
    return bool(job.log) and refusal(job.log[0]) is not None
