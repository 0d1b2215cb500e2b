"""What a study will take: hours, disk and wall time of the jobs of a dry run, as text for a person."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from winnow.planning.costs import ASSUMED_SECONDS, TRAININGS, Costs
from winnow.planning.dry_run import Plan


@dataclass(frozen=True)
class Estimate:
    """Totals over all jobs of a plan.

    Attributes:
        jobs: number by rule; the same keys for `cpu_hours` and `gpu_hours`.
        node_hours: by rule, of jobs that ask for a whole node.
        wall_hours: until the last job ends, with `slots` jobs at a time.
        chain_hours: the longest chain of jobs that need each other; no number of slots is faster.
        disk_bytes: files that are added for good.
    """

    jobs: dict[str, int]
    cpu_hours: dict[str, float]
    gpu_hours: dict[str, float]
    node_hours: dict[str, float]
    wall_hours: float
    chain_hours: float
    disk_bytes: int


def estimate(plan: Plan, costs: Costs, slots: int) -> Estimate:
    """Add up what the jobs of a plan take; `slots` jobs run at a time, whatever they ask for."""
    seconds = [costs.seconds(job) for job in plan.jobs]
    cpu: defaultdict[str, float] = defaultdict(float)
    gpu: defaultdict[str, float] = defaultdict(float)
    nodes: defaultdict[str, float] = defaultdict(float)
    for job, taken in zip(plan.jobs, seconds, strict=True):
        cpu[job.rule] += taken * costs.cores(job) / 3600
        gpu[job.rule] += taken * job.gpus / 3600
        if job.whole_node:
            nodes[job.rule] += taken / 3600
    tails = _tails(plan, seconds)
    return Estimate(
        jobs=dict(Counter(job.rule for job in plan.jobs)),
        cpu_hours=dict(cpu),
        gpu_hours=dict(gpu),
        node_hours=dict(nodes),
        wall_hours=_wall_seconds(plan, seconds, tails, slots) / 3600,
        chain_hours=max(tails, default=0) / 3600,
        disk_bytes=sum(costs.size(job) for job in plan.jobs),
    )


def _wall_seconds(plan: Plan, seconds: Sequence[float], tails: Sequence[float], slots: int) -> float:
    """Simulate `slots` workers that always take the ready job with most work behind it."""
    waiting = [len(before) for before in plan.after]
    ready = [(-tails[index], index) for index, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    users, now = _users(plan), 0.0
    while ready or running:
        while ready and len(running) < slots:
            _, index = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[index], index))
        now, done = heapq.heappop(running)
        for user in users[done]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (-tails[user], user))
    return now


def _tails(plan: Plan, seconds: Sequence[float]) -> list[float]:
    """Return, for each job, its seconds and those of the longest chain that waits for it."""
    users, left = _users(plan), [0] * len(plan.jobs)
    for index, behind in enumerate(users):
        left[index] = len(behind)
    tails = list(seconds)
    pending = [index for index, count in enumerate(left) if not count]
    while pending:
        index = pending.pop()
        for before in plan.after[index]:
            tails[before] = max(tails[before], seconds[before] + tails[index])
            left[before] -= 1
            if not left[before]:
                pending.append(before)
    return tails


def _users(plan: Plan) -> list[list[int]]:
    users: list[list[int]] = [[] for _ in plan.jobs]
    for index, before in enumerate(plan.after):
        for other in before:
            users[other].append(index)
    return users


def plan_text(plan: Plan, costs: Costs, slots: int) -> str:
    """Return the whole plan as lines for a terminal."""
    return "\n".join(_lines(plan, costs, slots)) + "\n"


def _lines(plan: Plan, costs: Costs, slots: int) -> Iterator[str]:
    total = estimate(plan, costs, slots)
    yield f"Study {costs.study.study}: {len(plan.jobs)} jobs to run"
    if not plan.jobs:
        return
    yield ""
    width = max(map(len, total.jobs))
    yield f"  {'rule':<{width}}  {'jobs':>7}  {'CPU hours':>10}  {'GPU hours':>10}"
    for rule, count in total.jobs.items():
        yield f"  {rule:<{width}}  {count:>7}  {total.cpu_hours[rule]:>10.2f}  {total.gpu_hours[rule]:>10.2f}"
    sums = (sum(column.values()) for column in (total.jobs, total.cpu_hours, total.gpu_hours))
    yield "  {:<{width}}  {:>7}  {:>10.2f}  {:>10.2f}".format("together", *sums, width=width)
    yield from _node_lines(total, costs)
    yield ""
    yield f"Wall time with {slots} {'job' if slots == 1 else 'jobs'} at a time: {duration(total.wall_hours)}"
    yield f"Longest chain of jobs, which no number of slots shortens: {duration(total.chain_hours)}"
    yield f"Disk: {total.disk_bytes / 1e9:.2f} GB in {costs.results}/"
    yield ""
    yield from _epoch_lines(plan, costs)
    other = ", ".join(f"{rule} {seconds} s" for rule, seconds in ASSUMED_SECONDS.items() if rule in total.jobs)
    if other:
        yield f"Other jobs: as measured where this study has run them, else assumed: {other}"
        yield ""
    yield "Rules, and those that use what they make:"
    for rule, users in plan.rule_graph.items():
        yield f"  {rule}" + (f" -> {', '.join(users)}" if users else "")


def _node_lines(total: Estimate, costs: Costs) -> Iterator[str]:
    """Say what whole nodes cost: Slurm charges for all of their cores."""
    for rule, hours in total.node_hours.items():
        jobs = f"{total.jobs[rule]} {'job' if total.jobs[rule] == 1 else 'jobs'}"
        whole = f"{rule} takes whole nodes: {jobs}, of which those of a run share one, {hours:.2f} node hours"
        if costs.node_cores:
            yield f"{whole}, with all {costs.node_cores} cores of each in the sum"
        else:
            yield f"{whole}. Of each, the sum has the cores it uses, but all are charged: say --node-cores"


def _epoch_lines(plan: Plan, costs: Costs) -> Iterator[str]:
    """Say for each kind of training how long an epoch takes and how that is known."""
    times = {}
    for job in plan.jobs:
        if job.rule in TRAININGS and costs.epochs(job):
            aware = ", quantization-aware" if job.rule == "train_quantized" else ""
            times[f"{job.wildcards['dataset']}/{job.wildcards['model']}{aware}"] = costs.epoch_time(job)
    if times:
        yield "Seconds for an epoch:"
        for name, time in sorted(times.items()):
            yield f"  {name}: {time.seconds:.3g} ({time.source})"
        yield ""


def duration(hours: float) -> str:
    """Return e.g. `40 s`, `12 min`, `3.5 h` or `4.2 days`."""
    for unit, size, most in (("s", 1 / 3600, 120), ("min", 1 / 60, 120), ("h", 1, 72)):
        if hours / size < most:
            return f"{hours / size:.3g} {unit}"
    return f"{hours / 24:.3g} days"
