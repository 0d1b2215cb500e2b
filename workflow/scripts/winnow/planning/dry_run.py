"""The jobs of a Snakemake dry run, read from the events that it logs, and how they depend on each other."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from winnow.errors import WinnowError


@dataclass(frozen=True)
class PlannedJob:
    """One job that would run.

    Attributes:
        wildcards: e.g. {"dataset": "cifar10", "model": "resnet18", "seed": "0"}.
        inputs, outputs: paths from the repository root.
        threads: CPU cores it would take.
        gpus: GPUs it asks the scheduler for.
        whole_node: whether it asks Slurm for a node without neighbours.
    """

    rule: str
    wildcards: Mapping[str, str]
    inputs: Sequence[str]
    outputs: Sequence[str]
    threads: int
    gpus: int
    whole_node: bool = False


@dataclass(frozen=True)
class Plan:
    """Jobs, and by position in `jobs` those that must come before each."""

    jobs: Sequence[PlannedJob]
    after: Sequence[Sequence[int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        made_by = {path: index for index, job in enumerate(self.jobs) for path in job.outputs}
        after = [sorted({made_by[path] for path in job.inputs if path in made_by}) for job in self.jobs]
        object.__setattr__(self, "after", after)

    @cached_property
    def rule_graph(self) -> dict[str, list[str]]:
        """By rule, in order of first use, the rules that need its output."""
        needed_by: dict[str, dict[str, None]] = {job.rule: {} for job in self.jobs}
        for job, before in zip(self.jobs, self.after, strict=True):
            for index in before:
                needed_by[self.jobs[index].rule][job.rule] = None
        return {rule: list(users) for rule, users in needed_by.items()}


class Recorder(logging.Filter):
    """Keeps what Snakemake tells its loggers of jobs, and lets only its errors through to the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "event", None) in (LogEvent.JOB_INFO, LogEvent.RUN_INFO):
            self.events.append(record)
        return record.levelno >= logging.ERROR


def read_events(events: Iterable[logging.LogRecord]) -> Plan:
    """Return the plan that the events of a dry run tell of; target rules, which do nothing, are left out.

    Raises:
        WinnowError: they name other jobs than Snakemake counts.
    """
    told, counted = [], {}
    for event in events:
        data = vars(event)
        if data["event"] == LogEvent.JOB_INFO:
            told.append(data)
        else:
            counted = {rule: count for rule, count in data["stats"].items() if rule != "total"}
    found = Counter(data["rule_name"] for data in told)
    if found != Counter(counted):
        raise WinnowError(
            f"plan: Snakemake counts {sum(counted.values())} jobs, but tells of {found.total()}; "
            "count them with `snakemake -n`, and report this"
        )
    return Plan([_job(data) for data in told if data["output"]])


def _job(data: Mapping[str, Any]) -> PlannedJob:
    resources = dict(data["resources"].items())
    return PlannedJob(
        rule=data["rule_name"],
        wildcards=data["wildcards"],
        inputs=data["input"],
        outputs=data["output"],
        threads=data["threads"],
        gpus=int(resources.get("gpu", 0)),
        whole_node="--exclusive" in str(resources.get("slurm_extra", "")).split(),
    )
