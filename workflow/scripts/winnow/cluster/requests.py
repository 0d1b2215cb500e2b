"""What jobs of Snakemake ask Slurm for, and where the plugin sends them; what a retry asks for stays within limits."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm.partitions import (
    Partition as Choice,
)
from snakemake_executor_plugin_slurm.partitions import (
    get_best_partition,
    get_job_cpu_requirement,
    parse_gpu_requirements,
    read_partition_file,
)

from winnow.cluster.jobs import change, rules_of
from winnow.cluster.limits import Partition, Request, fits

_silent = logging.getLogger(f"{__name__}.choice")
_silent.disabled = True


def choices(path: str | Path | None) -> list[Choice]:
    """Return what the plugin reads in partitions.yaml; nothing without such a file."""
    return list(read_partition_file(path)) if path else []


def request_of(job: Any, of: list[Choice]) -> Request:
    """Return what a job, or a group, asks for; without a partition if it names none, and none of the file takes it."""
    gpus, _ = parse_gpu_requirements(job)
    cpus, kind = get_job_cpu_requirement(job)
    chosen = job.resources.get("slurm_partition") or (get_best_partition(of, job, _silent) if of else None)
    return Request(
        rules=rules_of(job),
        mem_mb=_amount(job, "mem_mb"),
        partition=chosen,
        minutes=_amount(job, "runtime"),
        cpus=cpus * gpus if kind == "gpu" else cpus,
        gpus=gpus,
    )


def distinct(jobs: Iterable[Any], of: list[Choice]) -> list[Request]:
    """Return the different requests of jobs, in a fixed order."""
    return sorted({request_of(job, of) for job in jobs}, key=repr)


def cap(job: Any, of: list[Choice], there: Mapping[str, Partition]) -> None:
    """Lower what a retry asks for to what a partition grants, if it has grown beyond that.

    An attempt asks for more time and memory than the one before it; beyond the limits Slurm would let it wait for ever.
    """
    if _runs(job, of, there):
        return
    asked = {name: _amount(job, name) for name in ("runtime", "mem_mb")}
    limits = {choice.name: choice.limits for choice in of}
    own = job.resources.get("slurm_partition")
    for name in [own] if own else list(limits):
        if partition := there.get(name):
            file = limits.get(name)
            most = {
                "runtime": min(partition.minutes, file.max_runtime if file else partition.minutes),
                "mem_mb": min([max(nodes.mem_mb for nodes in partition.nodes), *([file.max_mem_mb] if file else [])]),
            }
            change(job, {key: int(min(amount, most[key])) for key, amount in asked.items()})
            if _runs(job, of, there):
                return
            change(job, asked)


def _runs(job: Any, of: list[Choice], there: Mapping[str, Partition]) -> bool:
    request = request_of(job, of)
    return request.partition is not None and request.partition in there and fits(request, there[request.partition])


def _amount(job: Any, name: str) -> int:
    value = job.resources.get(name, 0)
    return int(value) if str(value).isdigit() else 0
