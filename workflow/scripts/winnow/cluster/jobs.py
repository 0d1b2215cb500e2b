"""Jobs as Snakemake's executor has them, single or in groups, and how they are called in Slurm's lists."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def members(job: Any) -> list[Any]:
    """Return the jobs of a group, or the job itself."""
    return sorted(job.jobs, key=lambda member: str(member.rule.name)) if job.is_group() else [job]


def rules_of(job: Any) -> tuple[str, ...]:
    """Return the rules of a job, or of those in a group."""
    return tuple(dict.fromkeys(str(member.rule.name) for member in members(job)))


def change(job: Any, amounts: Mapping[str, int]) -> None:
    """Let a job ask for other amounts of resources until its next attempt."""
    resources = job.resources
    if job.is_group():  # which makes a new list of them each time
        job._resources.update(amounts)
    else:
        for name, amount in amounts.items():
            setattr(resources, name, amount)


def comment_of(study: str, *jobs: Any) -> str:
    """Return what `squeue --format=%k` shows, e.g. `cifar: prune+retrain of cifar10/resnet18/seed0/l1.../round3`.

    Of the jobs that run at a time no two have the same. Several that share one are of one rule.
    """
    places = [_place(member, study) for job in jobs for member in members(job)]
    common = os.path.commonpath(places) if all(places) else ""
    return f"{study}: {'+'.join(rules_of(jobs[0]))}" + (f" of {common}" if common else "")


def _place(job: Any, study: str) -> str:
    """Return the run of a job: what its log is called below that of its rule."""
    folder = Path("results", study, "logs", job.rule.name)
    log = Path(job.log[0]).with_suffix("") if job.log else folder
    return log.relative_to(folder).as_posix() if log.is_relative_to(folder) and log != folder else ""
