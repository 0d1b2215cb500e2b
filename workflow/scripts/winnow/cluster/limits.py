"""What a Slurm cluster could never run, said in one sentence before anything is submitted."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from winnow.cluster.commands import Unanswered, ask
from winnow.errors import WinnowError

PROFILE = "profiles/slurm"
_UNUSABLE = re.compile(r"down|drain|fail|err|maint|inval|no_respond|unk|power_down|reboot", re.IGNORECASE)


@dataclass(frozen=True)
class Nodes:
    """Equal nodes of a partition: cores, memory in MB and GPUs of each, and the state they are in."""

    cpus: int
    mem_mb: int
    gpus: int
    state: str

    @property
    def usable(self) -> bool:
        """Whether they take jobs, now or when those end that run."""
        return not _UNUSABLE.search(self.state) and not self.state.endswith("*")


@dataclass(frozen=True)
class Partition:
    """A partition: minutes after which it ends a job (infinite if it does not), whether it is up, and its nodes."""

    name: str
    minutes: float
    state: str
    nodes: tuple[Nodes, ...]


@dataclass(frozen=True)
class Request:
    """What a job, of one rule or a group of rules, asks for: memory in MB, and the partition it is sent to, if any."""

    rules: tuple[str, ...]
    mem_mb: int
    partition: str | None
    minutes: int = 0
    cpus: int = 1
    gpus: int = 0

    def __str__(self) -> str:
        return f"rule {self.rules[0]}" if len(self.rules) == 1 else f"the group of {', '.join(self.rules)}"


def partitions() -> dict[str, Partition]:
    """Return the partitions of this cluster by name.

    Raises:
        WinnowError: there is no Slurm here, or it does not answer.
    """
    try:
        lines = ask("sinfo", "--noheader", "--exact", "--format=%R|%l|%c|%m|%G|%a|%T")
    except Unanswered as error:
        raise WinnowError(f"Slurm does not answer here ({error}); run this on a login node of the cluster") from error
    found: dict[str, Partition] = {}
    for line in lines:
        name, limit, cpus, memory, gres, state, nodes_state = line.split("|")
        nodes = Nodes(int(cpus.rstrip("+")), int(memory.rstrip("+")), _gpus(gres), nodes_state)
        before = found[name].nodes if name in found else ()
        found[name] = Partition(name, _minutes(limit), state, (*before, nodes))
    return found


def _gpus(gres: str) -> int:
    """Return 4 for `gpu:a100:4(S:0-1),nvme:1`, 0 for `(null)`."""
    return sum(int(count) for count in re.findall(r"(?:^|,)gpu(?::[^:,(]+)*?:(\d+)(?=[,(]|$)", gres))


def _minutes(limit: str) -> float:
    """Return 1441 for `1-00:01:00`, 10 for `10:00`, infinity for `infinite`."""
    days, _, rest = limit.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts):
        return math.inf
    hours, minutes, seconds = map(int, ["0"] * (3 - len(parts)) + parts)
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def configured_partitions(path: str | Path | None) -> list[str]:
    """Return the names in the profile's partitions.yaml; none without such a file."""
    if path is None:
        return []
    return list(yaml.safe_load(Path(path).read_text(encoding="utf-8"))["partitions"])


def check_requests(
    requests: Iterable[Request], configured: Collection[str], there: Mapping[str, Partition], partitions_file: object
) -> list[str]:
    """Compare what the jobs of a study ask for with what there is.

    Args:
        configured: partitions that a job without one of its own may go to; empty for the cluster's default.
        there: see `partitions`.
        partitions_file: where `configured` comes from, for the message.

    Returns:
        What will wait until somebody acts: a sentence for each partition whose nodes are all out of work.

    Raises:
        WinnowError: a partition that is not there, or a job that none of its nodes could ever run.
    """
    names = ", ".join(sorted(there)) or "none"
    for name in configured:
        if name not in there:
            raise WinnowError(f"{partitions_file}: this cluster has no partition {name}; it has: {names}")
    waiting: dict[str, None] = {}
    for request in requests:
        if request.partition and request.partition not in there:
            raise WinnowError(
                f"{request} asks for partition {request.partition}, which this cluster does not have; it "
                f"has: {names}. Correct slurm_partition in {PROFILE}/config.yaml or on the command line"
            )
        if configured and not request.partition:
            raise WinnowError(
                f"{request} asks for {_amounts(request)}, which is beyond the limits of every partition in "
                f"{partitions_file} ({', '.join(configured)}); {_advice(request)}"
            )
        candidates = [there[request.partition]] if request.partition else list(there.values())
        refusals = [list(_refusals(request, partition)) for partition in candidates]
        if all(refusals):
            raise WinnowError(f"{request} {'; '.join(entry[0] for entry in refusals)}; {_advice(request)}")
        waiting |= {said: None for partition in candidates for said in _idle(request, partition)}
    return list(waiting)


def fits(request: Request, partition: Partition) -> bool:
    """Whether a partition could ever run a job."""
    return not any(_refusals(request, partition))


def _refusals(request: Request, partition: Partition) -> Iterator[str]:
    """Yield why a partition could never run a job."""
    name, nodes = partition.name, partition.nodes
    if partition.state not in ("up", "drain"):
        yield f"goes to partition {name}, which is {partition.state}"
    if request.minutes > partition.minutes:
        yield f"asks for {request.minutes} minutes, but partition {name} ends jobs after {partition.minutes:.0f}"
    asked = {"MB of memory": request.mem_mb, "CPUs": request.cpus, "GPUs": request.gpus}
    for what, largest in zip(asked, map(max, zip(*map(_sizes, nodes), strict=True)), strict=False):
        if asked[what] > largest:
            yield f"asks for {asked[what]} {what}, but the largest node of {name} has {largest}"
    if not any(_holds(request, entry) for entry in nodes):
        yield f"asks for {_amounts(request)}, but no single node of {name} has all of that"


def _idle(request: Request, partition: Partition) -> Iterator[str]:
    able = [nodes for nodes in partition.nodes if _holds(request, nodes)]
    if able and not any(nodes.usable for nodes in able):
        states = ", ".join(sorted({nodes.state for nodes in able}))
        yield f"{request} will wait: every node of partition {partition.name} that could run it is {states}"


def _sizes(nodes: Nodes) -> tuple[int, int, int]:
    return nodes.mem_mb, nodes.cpus, nodes.gpus


def _holds(request: Request, nodes: Nodes) -> bool:
    asked = (request.mem_mb, request.cpus, request.gpus)
    return all(amount <= size for amount, size in zip(asked, _sizes(nodes), strict=True))


def _amounts(request: Request) -> str:
    gpus = f", {request.gpus} GPUs" if request.gpus else ""
    return f"{request.minutes} minutes, {request.mem_mb} MB, {request.cpus} CPUs{gpus}"


def _advice(request: Request) -> str:
    groups = ", or take rules out of its groups" if len(request.rules) > 1 else ""
    return f"ask for less with set-resources or set-threads in {PROFILE}/config.yaml{groups}"
