"""Jobs that wait: those that Slurm has forgotten, and those whose reason to wait will not pass by itself."""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from winnow.cluster.commands import Unanswered, ask

_ENOUGH = 2  # answers in a row without a job: it may be asked for before the controller lists it
# as squeue's %r has them; others (Resources, Priority, limits of a user's running jobs) pass when jobs end
_LASTING = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|PartitionDown|PartitionInactive|ReqNodeNotAvail|DOWN, DRAINED|"
    r"BadConstraints|NodeDown|JobHeld|DependencyNeverSatisfied|InvalidAccount|InvalidQOS|AccountNotAllowed|"
    r"QOSNotAllowed|ReservationDeleted|PerJob|PerNode|launch failed",
)


@dataclass
class Watch:
    """Looks at the jobs of one Snakemake, which have its name."""

    name: str
    log: logging.Logger
    _missed: Counter[str] = field(default_factory=Counter)
    _said: str = ""

    def look(self, active: Collection[str]) -> set[str]:
        """Say which jobs wait in vain, whenever that changes, and return those that Slurm does not know any more.

        Args:
            active: numbers of the jobs that have not ended as far as Snakemake knows.
        """
        try:
            lines = ask("squeue", "--noheader", "--states=all", f"--name={self.name}", "--format=%i|%T|%P|%r")
            listed = {line.split("|")[0]: line.split("|")[1:] for line in lines if line.count("|") == 3}
            self._tell({number: listed[number] for number in active if number in listed})
        except Unanswered:
            return set()
        self._missed = Counter({number: self._missed[number] + 1 for number in active if number not in listed})
        return {number for number, count in self._missed.items() if count >= _ENOUGH}

    def _tell(self, listed: dict[str, list[str]]) -> None:
        waiting: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for number, (state, partition, reason) in listed.items():
            if state == "PENDING" and _LASTING.search(reason):
                waiting[partition, reason].append(number)
        entries = [
            f"{', '.join(numbers)} in partition {partition}: {reason}{_nodes_out_of(partition, reason)}"
            for (partition, reason), numbers in sorted(waiting.items())
        ]
        said = "; ".join(entries)
        if said != self._said and said:
            self.log.warning(
                f"Slurm jobs that will not start until somebody acts: {said}. If it is the request that is wrong, end "
                "Snakemake (Ctrl-C), correct profiles/slurm, and start again"
            )
        elif said != self._said:
            self.log.warning("No Slurm job waits for somebody to act any more")
        self._said = said


def _nodes_out_of(partition: str, reason: str) -> str:
    """Return which nodes of a partition do not work, and why, if that is what a job waits for."""
    if "Node" not in reason and "DOWN" not in reason:
        return ""
    which = ("-N", f"--partition={partition}", "--states=down,drain,fail")
    lines = ask("sinfo", "--noheader", *which, "--format=%N|%T|%E")
    nodes = [line.split("|") for line in dict.fromkeys(lines) if line.count("|") >= 2]
    return " (" + ", ".join(f"{name} is {state}: {why}" for name, state, why, *_ in nodes) + ")" if nodes else ""
