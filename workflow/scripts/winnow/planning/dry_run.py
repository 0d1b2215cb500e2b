"""The jobs of a Snakemake dry run, read from what it prints, and how they depend on each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

_HEAD = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_PROPERTY = re.compile(r"^    (input|output|threads|wildcards|resources): (.*)$")


@dataclass(frozen=True)
class PlannedJob:
    """One job that would run.

    Attributes:
        wildcards: e.g. {"dataset": "cifar10", "model": "resnet18", "seed": "0"}.
        inputs, outputs: paths from the repository root.
        threads: CPU cores it would take.
        gpus: GPUs it asks the scheduler for.
    """

    rule: str
    wildcards: Mapping[str, str]
    inputs: Sequence[str]
    outputs: Sequence[str]
    threads: int
    gpus: int


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


def read_dry_run(lines: Iterable[str]) -> Plan:
    """Read the output of `snakemake -n`; target rules, which do nothing, are left out."""
    return Plan([job for job in _jobs(lines) if job.outputs])


def _jobs(lines: Iterable[str]) -> Iterator[PlannedJob]:
    rule: str | None = None
    properties: dict[str, str] = {}
    for line in lines:
        line = line.rstrip("\n")
        if head := _HEAD.match(line):
            if rule:
                yield _job(rule, properties)
            rule, properties = head.group(1), {}
        elif rule and (found := _PROPERTY.match(line)):
            properties[found.group(1)] = found.group(2)
    if rule:
        yield _job(rule, properties)


def _job(rule: str, properties: Mapping[str, str]) -> PlannedJob:
    listed = {key: properties[key].split(", ") if key in properties else [] for key in ("input", "output")}
    named = {key: _named(properties.get(key, "")) for key in ("wildcards", "resources")}
    return PlannedJob(
        rule=rule,
        wildcards=named["wildcards"],
        inputs=listed["input"],
        outputs=listed["output"],
        threads=int(properties.get("threads", 1)),
        gpus=int(named["resources"].get("gpu", 0)),
    )


def _named(text: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in text.split(", ") if "=" in entry)
