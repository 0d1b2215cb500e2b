"""Where the time of a finished study went: seconds of each rule's jobs, and how long how many jobs ran at a time.

    make demo && .venv/bin/python benchmarks/demo.py results/demo

The last result: the demo on 2026-11-28, AMD EPYC, 2 logical CPUs, nothing else computing, n = 1, `make demo` as a whole
212 seconds, set up before (an earlier run of the day, of the version before: 225):

    | rule | jobs | wall s | CPU s | CPU s of a job |
    |---|---|---|---|---|
    | benchmark | 14 | 60.3 | 56.3 | 4.0 |
    | train | 2 | 45.4 | 22.2 | 11.1 |
    | train_quantized | 2 | 41.5 | 24.7 | 12.4 |
    | retrain | 6 | 40.1 | 36.4 | 6.1 |
    | export | 8 | 38.8 | 35.0 | 4.4 |
    | check_network | 2 | 34.4 | 24.2 | 12.1 |
    | evaluate | 14 | 29.0 | 18.9 | 1.4 |
    | prune | 6 | 18.0 | 15.4 | 2.6 |
    | calibrate | 2 | 14.1 | 13.0 | 6.5 |
    | make_figures | 1 | 9.0 | 8.6 | 8.6 |
    | prepare_dataset | 1 | 2.7 | 2.7 | 2.7 |
    | make_overview | 1 | 2.4 | 2.0 | 2.0 |
    | quantize_dynamic | 2 | 0.6 | 0.0 | 0.0 |
    | make_quantization_table | 1 | 0.5 | 0.5 | 0.5 |
    | ship | 1 | 0.5 | 0.5 | 0.5 |
    | collect | 1 | 0.4 | 0.0 | 0.0 |
    | recommend | 1 | 0.4 | 0.0 | 0.0 |
    | make_pruning_table | 1 | 0.3 | 0.0 | 0.0 |
    | all | 66 | 338.6 | 260.3 | |

    from the first job to the last 210 s; jobs at a time: 0 for 0 s, 1 for 80 s, 2 for 129 s

Read from what Snakemake writes for every job (`benchmark:`), so nothing is run and any study can be asked, also one of
a cluster. When a job ended is the time of that file, so copy results with their times (`cp -a`). A job that was made
again counts once, as it ran last; what ran another day is left out with `--last-hours`.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """A job: when it began and ended, seconds since 1970, and the CPU seconds it took."""

    rule: str
    begin: float
    end: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the folder of a study, results/<study>")
    parser.add_argument("--last-hours", type=float, default=24.0, help="only jobs that ended so long before the last")
    arguments = parser.parse_args()
    jobs = list(_jobs(arguments.study / "logs"))
    if not jobs:
        parser.error(f"{arguments.study}: no job has finished there; name the folder of a study, results/<study>")
    since = max(job.end for job in jobs) - 3600 * arguments.last_hours
    _print([job for job in jobs if job.end >= since])


def _jobs(logs: Path) -> Iterator[Ran]:
    for path in logs.rglob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        end, seconds = path.stat().st_mtime, float(row["s"])
        yield Ran(path.relative_to(logs).parts[0].removesuffix(".tsv"), end - seconds, end, float(row["cpu_time"]))


def _print(jobs: Sequence[Ran]) -> None:
    by_rule = defaultdict(list)
    for job in jobs:
        by_rule[job.rule].append(job)
    print("| rule | jobs | wall s | CPU s | CPU s of a job |\n|---|---|---|---|---|")
    for rule, ran in sorted(by_rule.items(), key=lambda entry: -_wall(entry[1])):
        print(f"| {rule} | {len(ran)} | {_wall(ran):.1f} | {_cpu(ran):.1f} | {_cpu(ran) / len(ran):.1f} |")
    whole = max(job.end for job in jobs) - min(job.begin for job in jobs)
    print(f"| all | {len(jobs)} | {_wall(jobs):.1f} | {_cpu(jobs):.1f} | |")
    sides = ", ".join(f"{count} for {seconds:.0f} s" for count, seconds in sorted(_at_a_time(jobs).items()))
    print(f"\nfrom the first job to the last {whole:.0f} s; jobs at a time: {sides}")


def _wall(jobs: Sequence[Ran]) -> float:
    return sum(job.end - job.begin for job in jobs)


def _cpu(jobs: Sequence[Ran]) -> float:
    return sum(job.cpu for job in jobs)


def _at_a_time(jobs: Sequence[Ran]) -> dict[int, float]:
    """Return for how many seconds so many jobs ran."""
    changes = sorted([(job.begin, 1) for job in jobs] + [(job.end, -1) for job in jobs])
    seconds: dict[int, float] = defaultdict(float)
    running = 0
    for (time, change), (following, _) in pairwise(changes):
        running += change
        seconds[running] += following - time
    return seconds


if __name__ == "__main__":
    main()
