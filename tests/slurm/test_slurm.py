"""Winnow on a real Slurm: the numbers of one machine, and trainings that go on whatever ends their job.

One file, so that test processes share the one cluster. What fails takes time, so all of it runs at once.
"""

import json
import re
from dataclasses import dataclass
from subprocess import Popen

import pandas as pd
import pytest

from clusters import SLURM, cluster_script, jobs, jobs_of, slurm, wait
from projects import ONE_THREAD, RUN, Project, copy_project

# a network whose first attempt at training comes to its first saved state and then takes half an hour, so that a
# test hits it however slow the machine is; the attempts after it are fast
SLOW = f"""
import time
from pathlib import Path
from torch import nn

STATE = Path("{RUN}/weights.resume")
FIRST = not STATE.exists()


class Slow(nn.Sequential):
    def forward(self, images):
        if self.training and FIRST and STATE.exists():
            time.sleep(3)
        return super().forward(images)


def net(channels, size, classes):
    return Slow(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
"""
EPOCHS = 60
# what is measured once more is never the same; everything else is
MEASURED = ("latency_", "energy_", "power_", "training_seconds", "training_joules")


@dataclass
class Running:
    """A study that runs on the cluster while tests look at it and interfere.

    `job` is the Slurm job of its first attempt at training.
    """

    project: Project
    process: Popen
    job: str = ""

    @property
    def output(self) -> str:
        return (self.project.root / "output.txt").read_text()

    def training_is_under_way(self) -> str:
        """Return the Slurm job that trains, once its state has been saved; else nothing."""
        if self.process.poll() is not None:
            raise AssertionError(self.output[-6000:])
        running = [job["JobId"] for job in jobs_of(self.project, "train") if job["JobState"] == "RUNNING"]
        return running[0] if running and (self.project.root / RUN / "weights.resume").exists() else ""

    def what_it_does(self) -> str:
        return "\n".join([self.output[-3000:], slurm("squeue"), *map(str, jobs(self.project))])

    def ends_well(self) -> None:
        """Wait for the whole study; its training was resumed, not begun again."""
        code = self.process.wait(timeout=800)
        assert code == 0, self.output[-6000:]
        assert (self.project.root / "results/tiny/tables/quantization.md").exists()
        record = json.loads((self.project.root / RUN / "training.json").read_text())
        assert record["resumed"] == 1
        history = pd.read_csv(self.project.root / RUN / "history.csv")
        assert list(history["epoch"]) == list(range(1, EPOCHS + 1))
        log = (self.project.root / "results/tiny/logs/train/digits/lenet5/seed0.log").read_text()
        assert "resuming at epoch" in log

    def log_of(self, job: str) -> str:
        """What a failed job printed, by its number."""
        return next((self.project.root / "logs/slurm").rglob(f"{job}.log")).read_text()


def cancel(job: str) -> None:
    slurm("scancel", job)


def run_out_of_time(job: str) -> None:
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=1")  # a minute, counted from its start


def lose_node(job: str) -> None:
    """As a power cut. Slurm puts the job back into the queue for two minutes; a start before that may meet the order
    to end the first one."""
    cluster_script("kill", "gpu1")
    try:
        wait(lambda: "JobState=PENDING" in slurm("scontrol", "show", "job", job))
    finally:
        cluster_script("revive", "gpu1")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Studies on the cluster at once, by what has happened to their training."""
    folder, running = tmp_path_factory.mktemp("slurm"), {}
    mishaps = {"cancelled": cancel, "limited": run_out_of_time, "orphaned": lose_node}
    try:
        for name in mishaps:
            project = copy_project(folder / f"{name} project", SLURM)
            (project.root / "mine.py").write_text(SLOW)
            project.configure(
                models={"lenet5": {"factory": "mine:net"}},
                training={"epochs": EPOCHS, "warmup_epochs": 1},
                quantization={"methods": []},
            )
            further = ("--default-resources", "slurm_partition=gpu") if name == "orphaned" else ()
            running[name] = Running(project, project.start(*further))
        for name, mishap in mishaps.items():
            study = running[name]
            study.job = wait(study.training_is_under_way, seen=study.what_it_does)
            mishap(study.job)
        yield running
    finally:
        for study in running.values():
            if study.process.poll() is None:
                study.process.kill()
                study.process.wait()
            for job in jobs(study.project):
                if job["JobState"] in ("PENDING", "RUNNING"):
                    slurm("scancel", job["JobId"])


def test_a_training_whose_node_dies_goes_on(studies):
    """The same job, started again by Slurm; Snakemake's retries are not touched."""
    study = studies["orphaned"]
    study.ends_well()
    (job,) = jobs_of(study.project, "train")
    assert job["JobId"] == study.job
    assert int(job["Restarts"]) >= 1
    assert "Trying to restart" not in study.output


def test_a_training_whose_job_is_cancelled_goes_on(studies):
    study = studies["cancelled"]
    study.ends_well()
    assert f"SLURM-job '{study.job}' failed, SLURM status is: 'CANCELLED'" in study.output
    assert "stopped by SIGTERM" in study.log_of(study.job)
    assert len(jobs_of(study.project, "train")) == 2


def test_a_training_beyond_its_time_limit_goes_on(studies):
    study = studies["limited"]
    study.ends_well()
    first, second = jobs_of(study.project, "train")
    assert first["JobId"] == study.job
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert "stopped by SIGTERM" in study.log_of(study.job)


def test_the_table_is_that_of_one_machine(finished, tmp_path):
    project = copy_project(tmp_path / "a project", SLURM)
    output = project.run(*ONE_THREAD)
    tables = [pd.read_csv(root / "results/tiny/results.csv") for root in (finished.root, project.root)]
    kept = [name for name in tables[0] if not name.startswith(MEASURED)]
    assert {"top1", "validation_loss", "size_mb", "quantization_error", "nonzero_parameters"} <= set(kept)
    pd.testing.assert_frame_equal(*(table[kept] for table in tables), check_exact=True)
    assert "Nothing to be done" in project.run()
    asked = jobs(project)
    assert {job["Partition"] for job in asked} == {"cpu"}
    assert not any("gpu" in job.get("TRES", "") for job in asked)
    names = [job["Comment"] for job in asked]
    assert len(set(names)) == len(names)
    rules = {"check_network", "train", "train_quantized", "benchmark", "export", "evaluate"}
    assert {re.match(r"tiny: (\S+) of digits/lenet5", name)[1] for name in names} == {
        *rules,
        "evaluate+quantize_dynamic",
        "calibrate+evaluate",
    }
    assert all(job["JobName"].startswith("tiny_") for job in asked)
    assert "prepare_dataset" in output
    assert {job["OverSubscribe"] for job in jobs_of(project, "benchmark")} == {"NO"}
    assert {job["Requeue"] for job in asked} == {"1"}


def test_a_gpu_is_asked_for_if_the_configuration_says_so(tmp_path):
    project = copy_project(tmp_path / "a project", SLURM)
    project.configure(training={"device": "cuda"})
    output = project.run(f"{RUN}/weights.safetensors", "--retries", "0", fails=True)
    (job,) = jobs_of(project, "train")
    assert job["Partition"] == "gpu"
    assert "gres:gpu:1" in job["TresPerJob"]
    assert "training.device is cuda, but torch sees no GPU here" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--set-resources", "train:mem_mb=900000"),
            "rule train asks for 900000 MB of memory, but the largest node of",
        ),
        (("--set-resources", "evaluate:mem_mb=70000"), "the group of calibrate, evaluate asks for"),
        (("--set-resources", "train:runtime=20000"), "rule train asks for 20000 minutes, but partition cpu ends jobs"),
        (("--set-threads", "train=16"), "rule train asks for 16 CPUs, but the largest node of cpu has 8"),
        (("--set-resources", "train:slurm_partition=none"), "rule train asks for partition none, which this cluster"),
    ],
)
def test_what_the_cluster_cannot_run_is_refused_before_anything_is_submitted(tmp_path, options, message):
    project = copy_project(tmp_path / "a project", SLURM)
    output = project.run(*options, fails=True)
    assert message in output
    assert "Traceback" not in output
    assert not jobs(project)
    assert not (project.root / "results").exists()
    assert "total" in project.run("-n")  # and no lock is left


def test_a_partition_of_the_profile_that_is_not_there(tmp_path):
    project = copy_project(tmp_path / "a project", SLURM)
    partitions = project.root / "profiles/slurm/partitions.yaml"
    partitions.write_text(partitions.read_text().replace("  cpu:", "  elsewhere:"))
    output = project.run(fails=True)
    assert "partitions.yaml: this cluster has no partition elsewhere; it has: cpu, gpu" in output
    assert not jobs(project)
