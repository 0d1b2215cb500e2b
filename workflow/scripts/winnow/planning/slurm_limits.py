"""What a Slurm cluster could never run, said in one sentence before anything is submitted."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from winnow.errors import WinnowError

_PROFILE = "profiles/slurm"


@dataclass(frozen=True)
class Request:
    """What a job, of one rule or of a group of rules, asks for: memory in MB, and a partition if it names one."""

    rules: tuple[str, ...]
    mem_mb: int
    partition: str | None

    def __str__(self) -> str:
        return f"rule {self.rules[0]}" if len(self.rules) == 1 else f"the group of {', '.join(self.rules)}"


def partition_memory() -> dict[str, int]:
    """Return the memory in MB of the largest node of each partition of this cluster.

    Raises:
        WinnowError: there is no Slurm here, or it does not answer.
    """
    command = ["sinfo", "--noheader", "--exact", "--format=%R %m"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        raise WinnowError(f"Slurm does not answer here ({said}); run this on a login node of the cluster") from error
    largest: dict[str, int] = {}
    for line in done.stdout.splitlines():
        name, memory = line.rsplit(maxsplit=1)
        largest[name] = max(largest.get(name, 0), int(memory.rstrip("+")))
    return largest


def configured_partitions(path: str | Path | None) -> list[str]:
    """Return the names in the profile's partitions.yaml; none without such a file."""
    if path is None:
        return []
    return list(yaml.safe_load(Path(path).read_text(encoding="utf-8"))["partitions"])


def check_requests(
    requests: Iterable[Request], configured: Collection[str], memory: Mapping[str, int], partitions_file: object
) -> None:
    """Compare what the jobs of a study ask for with what there is.

    Args:
        configured: partitions that a job without a partition of its own may go to; empty for all.
        memory: see `partition_memory`.
        partitions_file: where `configured` comes from, for the message.

    Raises:
        WinnowError: a partition that is not there, or more memory than any node of its partitions has.
    """
    there = ", ".join(sorted(memory)) or "none"
    for name in configured:
        if name not in memory:
            raise WinnowError(f"{partitions_file}: this cluster has no partition {name}; it has: {there}")
    for request in requests:
        if request.partition and request.partition not in memory:
            raise WinnowError(
                f"{request} asks for partition {request.partition}, which this cluster does not have; it "
                f"has: {there}. Correct slurm_partition in {_PROFILE}/config.yaml or on the command line"
            )
        names = [request.partition] if request.partition else list(configured) or list(memory)
        most = max((memory[name] for name in names), default=0)
        if request.mem_mb > most:
            raise WinnowError(
                f"{request} asks for {request.mem_mb} MB of memory, but the largest node of "
                f"{', '.join(names)} has {most}; ask for less with set-resources in {_PROFILE}/config.yaml"
                + (", or take rules out of its groups" if len(request.rules) > 1 else "")
            )
