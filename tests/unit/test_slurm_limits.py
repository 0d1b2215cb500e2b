"""What a cluster cannot run is refused in one sentence, and what a retry asks for stays within its limits."""

import math
import os
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import ResourceList

from winnow.cluster.limits import Nodes, Partition, Request, check_requests, configured_partitions, partitions
from winnow.cluster.orphans import check_orphans
from winnow.cluster.requests import cap, choices, distinct, request_of
from winnow.errors import WinnowError

CLUSTER = {
    "cpu": Partition("cpu", 1440, "up", (Nodes(8, 64000, 0, "idle"), Nodes(64, 32000, 0, "mixed"))),
    "fat": Partition("fat", math.inf, "up", (Nodes(16, 500000, 0, "drained"),)),
    "gpu": Partition("gpu", 600, "up", (Nodes(8, 64000, 4, "idle"),)),
    "old": Partition("old", math.inf, "inact", (Nodes(8, 64000, 0, "idle"),)),
}


def asks(mem_mb: int = 1, partition: str | None = "cpu", rules=("train",), **amounts: int) -> Request:
    return Request(rules, mem_mb, partition, **amounts)


def test_what_fits_passes():
    few = [asks(64000), asks(32000, cpus=64), asks(1, "gpu", gpus=4, minutes=600), asks(500000, None)]
    assert check_requests(few[:3], ["cpu"], CLUSTER, "partitions.yaml") == []
    assert check_requests(few, [], CLUSTER, None) == [
        "rule train will wait: every node of partition fat that could run it is drained"
    ]


@pytest.mark.parametrize(
    ("request_", "configured", "message"),
    [
        (asks(), ["cpu", "big"], "partitions.yaml: this cluster has no partition big; it has: cpu, fat, gpu, old"),
        (asks(partition="big"), ["cpu"], "rule train asks for partition big, which this cluster does not have"),
        (asks(64001), ["cpu"], "rule train asks for 64001 MB of memory, but the largest node of cpu has 64000; ask"),
        (asks(500001, None), [], "but the largest node of fat has 500000; "),
        (
            asks(64001, rules=("evaluate", "export")),
            ["cpu"],
            "the group of evaluate, export asks for 64001 MB of memory, but the largest node of cpu has 64000; ask for "
            "less with set-resources or set-threads in profiles/slurm/config.yaml, or take rules out of its groups",
        ),
        (
            asks(minutes=1441),
            [],
            "rule train asks for 1441 minutes, but partition cpu ends jobs after 1440; ask for less",
        ),
        (asks(cpus=65), [], "rule train asks for 65 CPUs, but the largest node of cpu has 64"),
        (asks(64000, cpus=16), [], "asks for 0 minutes, 64000 MB, 16 CPUs, but no single node of cpu has all of that"),
        (asks(gpus=1), [], "rule train asks for 1 GPUs, but the largest node of cpu has 0"),
        (asks(partition="old"), [], "rule train goes to partition old, which is inact"),
        (
            asks(minutes=720, partition=None),
            ["cpu", "gpu"],
            "rule train asks for 720 minutes, 1 MB, 1 CPUs, which is beyond the limits of every partition in "
            "partitions.yaml (cpu, gpu); ask for less",
        ),
    ],
)
def test_what_does_not_fit_is_named(request_, configured, message):
    with pytest.raises(WinnowError) as raised:
        check_requests([request_], configured, CLUSTER, "partitions.yaml")
    assert message in str(raised.value)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Write a command of Slurm that prints."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return write


def test_without_slurm_this_is_said(command, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WinnowError, match="Slurm does not answer here"):
        partitions()
    command("sinfo", "echo 'slurm_load_partitions: Unable to contact' >&2; exit 1")
    with pytest.raises(WinnowError, match="Unable to contact"):
        partitions()


def test_partitions_are_as_sinfo_says(command):
    lines = (
        "cpu|infinite|8|64000|(null)|up|idle",
        "cpu|infinite|16|32000+|(null)|up|drained*",
        "a gpu|1-02:00:00|64|128000|gpu:a100:4(S:0-1),nvme:1|up|mixed",
        "short|10:00|4|1000|gpu:2,gpu:t4:1|down|idle",
    )
    command("sinfo", "\n".join(f"echo '{line}'" for line in lines))
    assert partitions() == {
        "cpu": Partition("cpu", math.inf, "up", (Nodes(8, 64000, 0, "idle"), Nodes(16, 32000, 0, "drained*"))),
        "a gpu": Partition("a gpu", 1560, "up", (Nodes(64, 128000, 4, "mixed"),)),
        "short": Partition("short", 10, "down", (Nodes(4, 1000, 3, "idle"),)),
    }


@pytest.mark.parametrize(("state", "usable"), [("idle", True), ("allocated", True), ("mixed-", True)])
def test_nodes_that_work(state, usable):
    assert Nodes(1, 1, 0, state).usable == usable


@pytest.mark.parametrize("state", ["drained", "draining", "down*", "idle*", "fail", "maint"])
def test_nodes_that_do_not(state):
    assert not Nodes(1, 1, 0, state).usable


def test_the_profiles_partitions_are_read():
    assert configured_partitions("profiles/slurm/partitions.yaml") == ["cpu", "gpu"]
    assert configured_partitions(None) == []
    assert [choice.name for choice in choices("profiles/slurm/partitions.yaml")] == ["cpu", "gpu"]


class Job:
    """A job of Snakemake, or a group of one, as far as requests look at it."""

    def __init__(self, rule: str = "train", group: bool = False, **resources):
        self.rule, self.threads, self.name, self.jobs = SimpleNamespace(name=rule), 4, rule, [self]
        self._resources, self._group = ResourceList(fromdict=resources), group
        if group:
            self._resources = resources

    @property
    def resources(self):
        return ResourceList(fromdict=self._resources) if self._group else self._resources

    def is_group(self):
        return self._group


@pytest.fixture
def chosen(tmp_path):
    """What the plugin reads in a partitions.yaml with limits."""
    path = tmp_path / "partitions.yaml"
    path.write_text("partitions:\n  cpu: {max_runtime: 1200, max_mem_mb: 30000}\n  gpu: {max_gpu: 4}\n")
    return choices(path)


def test_jobs_go_where_the_plugin_sends_them(chosen):
    jobs = [Job(runtime=720, mem_mb=8000), Job("retrain", runtime=60, mem_mb=1, gpu=1), Job(runtime=720, mem_mb=8000)]
    assert distinct(jobs, chosen) == [
        Request(("retrain",), 1, "gpu", 60, 4, 1),
        Request(("train",), 8000, "cpu", 720, 4, 0),
    ]
    assert request_of(Job(runtime=1201, mem_mb=1, gpu=5), chosen).partition is None
    assert request_of(Job(runtime=1201, mem_mb=1, slurm_partition="fat"), chosen).partition == "fat"
    assert request_of(Job(runtime=1, mem_mb=1), []).partition is None


@pytest.mark.parametrize("group", [False, True])
def test_a_retry_asks_for_no_more_than_its_partition_grants(chosen, group):
    """The third attempt at a training of 12 h would ask for 36, and for 24 GB."""
    job = Job(group=group, runtime=2160, mem_mb=24000, gpu=1)
    cap(job, chosen, CLUSTER)
    assert (job.resources.get("runtime"), job.resources.get("mem_mb")) == (600, 24000)
    within = Job(group=group, runtime=1200, mem_mb=24000)
    cap(within, chosen, CLUSTER)
    assert within.resources.get("runtime") == 1200
    beyond = Job(group=group, runtime=2160, mem_mb=90000, slurm_partition="cpu")
    cap(beyond, chosen, CLUSTER)
    assert (beyond.resources.get("runtime"), beyond.resources.get("mem_mb")) == (1200, 30000)
    impossible = Job(group=group, runtime=2160, mem_mb=24000, gpu=5)
    cap(impossible, chosen, CLUSTER)
    assert impossible.resources.get("runtime") == 2160


def test_jobs_of_an_earlier_snakemake_are_refused_with_what_to_do(command, tmp_path):
    here, there = f"{tmp_path}/a project", f"{tmp_path}/another"
    lines = (
        f"21|cifar: train of a|b|{here}",
        f"22|cifar: export of c|{here}",
        f"23|cifar: train of a|{there}",
        f"24|cifar2: train of a|{here}",
        f"25|(null)|{here}",
    )
    command("squeue", f"echo $@ > '{tmp_path}/asked'\n" + "\n".join(f"echo '{line}'" for line in lines))
    with pytest.raises(WinnowError) as raised:
        check_orphans(tmp_path / "a project", "cifar")
    assert (
        "2 Slurm jobs of an earlier Snakemake are still there: 21 (cifar: train of a|b); 22 (cifar: export of c)"
        in str(raised.value)
    )
    assert "scancel 21 22 -- or wait" in str(raised.value)
    assert "srun --dependency=afterany:21:22 true" in str(raised.value)
    assert f"--user={os.getuid()}" in (tmp_path / "asked").read_text()
    check_orphans(tmp_path / "a third", "cifar")
    command("squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    with pytest.raises(WinnowError, match="Unable to contact"):
        check_orphans(tmp_path, "cifar")
