"""Winnow on a real Slurm: the numbers of one machine, and trainings that go on whatever ends their job.

One file, so that test processes share the one cluster. What fails takes time, so all of it runs at once.
"""

import json
import re
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from subprocess import Popen

import pandas as pd
import pytest

from clusters import SLURM, FaultySlurm, cluster_script, jobs, jobs_of, slurm, wait
from projects import LIVE, ONE_THREAD, RUN, Project, copy_project

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
# and one whose training leaves the finite numbers
SLOW += """

class Diverging(nn.Sequential):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        return super().forward(images) * (float("nan") if self.steps > 100 else 1)


def diverging(channels, size, classes):
    return Diverging(nn.Flatten(), nn.Linear(channels * size**2, classes))
"""
AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NOT_TAKEN = "sbatch: error: Batch job submission failed: "
EPOCHS = 60
PRUNING = {"structure": ["channels"], "ratio": [0.5], "rounds": [2], "rewind": ["none"], "retrain": {"epochs": 1}}
# what is measured once more is never the same; everything else is
MEASURED = ("latency_", "energy_", "power_", "training_seconds", "training_joules", "other_load")


@dataclass
class Running:
    """A study that runs on the cluster while tests look at it and interfere.

    Attributes:
        faults: its own Slurm.
        job: the Slurm job of its first attempt at training.
        mishap: what happens to it meanwhile.
        seen: what a test has to see later.
    """

    project: Project
    faults: FaultySlurm
    process: Popen
    job: str = ""
    mishap: Future[None] | None = None
    seen: str = ""

    @property
    def output(self) -> str:
        return self.project.output.read_text()

    def training_is_under_way(self) -> str:
        """Return the Slurm job that trains, once its state has been saved; else nothing."""
        if self.process.poll() is not None:
            raise AssertionError(self.output[-6000:])
        running = [
            job["JobId"]
            for job in jobs_of(self.project, "train")
            if job["JobState"] == "RUNNING" and "lenet5" in job["Comment"]
        ]
        return running[0] if running and (self.project.root / RUN / "weights.resume").exists() else ""

    def what_it_does(self) -> str:
        return "\n".join([self.output[-3000:], slurm("squeue"), *map(str, jobs(self.project))])

    def ends(self, expected: int = 0) -> None:
        """Wait for all that was asked for; its training was resumed, not begun again."""
        self.mishap.result()
        code = self.process.wait(timeout=800)
        assert code == expected, self.output[-6000:]
        record = json.loads((self.project.root / RUN / "training.json").read_text())
        assert record["resumed"] == 1
        history = pd.read_csv(self.project.root / RUN / "history.csv")
        assert list(history["epoch"]) == list(range(1, EPOCHS + 1))
        log = (self.project.root / "results/tiny/logs/train/digits/lenet5/seed0.log").read_text()
        assert "resuming at epoch" in log

    def log_of(self, job: str) -> str:
        """What a failed job printed, by its number."""
        return next((self.project.root / "logs/slurm").rglob(f"{job}.log")).read_text()


def cancel(study: Running) -> None:
    slurm("scancel", study.job)


def run_out_of_time(study: Running) -> None:
    slurm("scontrol", "update", f"JobId={study.job}", "TimeLimit=1")  # a minute, counted from its start


def lose_node(study: Running) -> None:
    """As a power cut. Slurm puts the job back into the queue for two minutes; a start before that may meet the order
    to end the first one."""
    cluster_script("kill", "gpu1")
    try:
        wait(lambda: "JobState=PENDING" in slurm("scontrol", "show", "job", study.job))
    finally:
        cluster_script("revive", "gpu1")


def try_hard(study: Running) -> None:
    """A job that is cancelled, a node that is drained and comes back, and 84 s without any answer."""
    slurm("scontrol", "update", "nodename=cpu1", "state=drain", "reason=a broken fan")
    try:
        slurm("scancel", study.job)
        wait(lambda: "cpu1 is drain" in study.output, seen=study.what_it_does)
    finally:
        slurm("scontrol", "update", "nodename=cpu1", "state=resume")
    wait(lambda: jobs_of(study.project, "train")[-1]["JobState"] == "RUNNING", seen=study.what_it_does)
    study.faults.fails(AWAY)
    time.sleep(84)
    study.faults.works()


def abandon(study: Running) -> None:
    """SIGKILL of Snakemake on the login node, and what the next one says."""
    study.process.kill()
    study.process.wait()
    study.project.run("--unlock")
    study.seen = study.project.run(fails=True)
    slurm("scancel", study.job)


def configured(project: Project, models: dict[str, object], **changes: object) -> None:
    (project.root / "mine.py").write_text(SLOW)
    project.configure(
        models={"lenet5": {"factory": "mine:net"}} | models,
        training={"epochs": EPOCHS, "warmup_epochs": 1},
        quantization={"methods": []},
        **changes,
    )


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Studies on the cluster at once, by what has happened to their training."""
    folder, running = tmp_path_factory.mktemp("slurm"), {}
    mishaps = {
        "cancelled": cancel,
        "limited": run_out_of_time,
        "orphaned": lose_node,
        "tried": try_hard,
        "abandoned": abandon,
    }
    checked = copy_project(folder / "checked project")  # where a mishap befalls the training, the rest is in place
    configured(checked, {})
    checked.run("results/tiny/digits/lenet5/check.json")
    with ThreadPoolExecutor() as threads:
        try:
            for name in (*mishaps, "refused", "unlogged", "undisturbed"):
                root, models, changes = folder / f"{name} project", {}, {}
                project = checked.copy_to(root) if name in mishaps else copy_project(root)
                faults = FaultySlurm(replace(project, options=SLURM))
                if name == "tried":
                    models["bad"] = {"factory": "mine:diverging"}
                    faults.fails(f"{NOT_TAKEN}Unable to contact slurm controller (connect failure)", "sbatch")
                if name == "unlogged":
                    faults.loses_logs()
                if name == "refused":
                    models |= {f"another{number}": {"factory": "mine:net"} for number in range(2)}
                    faults.fails(f"{NOT_TAKEN}Invalid account or account/partition combination specified", "sbatch")
                if name == "cancelled":
                    changes["pruning"] = PRUNING
                if name != "undisturbed":
                    configured(faults.project, models, **changes)
                further = ("--default-resources", "slurm_partition=gpu") if name == "orphaned" else ()
                target = (f"{RUN}/weights.safetensors",) if name in ("limited", "orphaned", "abandoned") else ()
                started = faults.project.start(*target, *ONE_THREAD, *further)
                running[name] = Running(faults.project, faults, started)
            wait(lambda: running["tried"].faults.calls("sbatch") >= 2, seen=running["tried"].what_it_does)
            running["tried"].faults.works()
            for name, mishap in mishaps.items():
                study = running[name]
                study.job = wait(study.training_is_under_way, seen=study.what_it_does)
                study.mishap = threads.submit(mishap, study)
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
    study.ends()
    (job,) = jobs_of(study.project, "train")
    assert job["JobId"] == study.job
    assert int(job["Restarts"]) >= 1
    assert "Trying to restart" not in study.output


def test_a_training_whose_job_is_cancelled_goes_on(studies):
    study = studies["cancelled"]
    study.ends()
    assert f"train of digits/lenet5/seed0: Slurm job {study.job} ended as CANCELLED" in study.output
    assert "stopped by SIGTERM" in study.log_of(study.job)
    assert len(jobs_of(study.project, "train")) == 2
    # and what is made of it: a job for each round, and its network measured
    assert (study.project.root / "results/tiny/tables/pruning.md").exists()
    rounds = re.findall(r"tiny: prune\+retrain of digits/lenet5/seed0/\S+/round(\d)", str(jobs(study.project)))
    assert sorted(rounds) == ["1", "2"]
    assert len(list(study.project.root.glob("results/tiny/digits/lenet5/seed0/*/round?/fp32/speed.json"))) == 2


def test_a_training_beyond_its_time_limit_goes_on(studies):
    study = studies["limited"]
    study.ends()
    first, second = jobs_of(study.project, "train")
    assert first["JobId"] == study.job
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert "stopped by SIGTERM" in study.log_of(study.job)


def test_a_study_that_meets_all_of_it_ends_with_every_result_but_one(studies):
    study = studies["tried"]
    study.ends(expected=1)
    assert not (study.project.root / "results/tiny/tables/quantization.md").exists()
    for name in ("quality", "speed"):
        assert (study.project.root / RUN / "fp32" / f"{name}.json").exists()
    asked = [job["Comment"] for job in jobs_of(study.project, "train")]
    assert sorted(asked) == ["tiny: train of digits/bad/seed0", *["tiny: train of digits/lenet5/seed0"] * 2]
    assert len(jobs(study.project)) == 1 + 3 + 1 + 1 + 1  # check, training runs, export, evaluation, benchmark
    assert study.output.count("Unable to contact slurm controller (connect failure); asking again") <= 2
    assert re.search(r"Slurm does not say how its \d jobs are; asking again until it does", study.output)
    assert "Slurm answers again" in study.output
    assert "a broken fan" in study.output
    summary = study.output[study.output.index("1 failed, with all that needs them:") :]
    assert "train of digits/bad/seed0: the loss is not finite" in summary
    assert len(summary.splitlines()) < 10


def test_what_a_killed_snakemake_left_is_named_before_anything_is_submitted(studies):
    study = studies["abandoned"]
    study.mishap.result()
    assert f"{study.job} (tiny: train of digits/lenet5/seed0)" in study.seen
    assert f"scancel {study.job} -- or wait" in study.seen
    assert len(jobs_of(study.project, "train")) == 1


def test_what_slurm_refuses_is_said_once_in_its_words(studies):
    study = studies["refused"]
    assert study.process.wait(timeout=300) == 1
    assert study.faults.calls("sbatch") <= 2  # two are submitted at a time
    assert "Trying to restart" not in study.output
    summary = study.output[study.output.index("3 failed, with all that needs them:") :]
    assert summary.count("Slurm refuses it: Invalid account or account/partition combination specified") == 3
    live = LIVE.run("config/tiny.yaml", cwd=study.project.root)
    assert "check_network of digits/another1: Slurm refuses it: Invalid account" in live


def test_a_job_that_cannot_write_its_log_is_what_slurm_says_of_it(studies):
    study = studies["unlogged"]
    assert study.process.wait(timeout=300) == 1
    summary = study.output[study.output.index("1 failed, with all that needs them:") :]
    assert "ended as FAILED, Reason=JobLaunchFailure, ExitCode=0:53 on cpu1, and left no log" in summary
    live = LIVE.run("config/tiny.yaml", cwd=study.project.root)
    assert "no network has been evaluated yet; check_network of digits/lenet5: Slurm job" in live


def test_the_table_is_that_of_one_machine(finished, studies):
    study = studies["undisturbed"]
    project, code = study.project, study.process.wait(timeout=800)
    assert code == 0, study.output[-6000:]
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
    assert "prepare_dataset" in study.output
    timed = jobs_of(project, "benchmark")
    assert {job["OverSubscribe"] for job in timed} == {"NO"}
    # one node for all files, but for that which is trained first if it is late
    shared = f"tiny: benchmark of {RUN[13:]}"
    assert sorted(job["Comment"] for job in timed) in ([shared], [shared, f"{shared}/qat"])
    assert {job["Requeue"] for job in asked} == {"1"}


def test_an_interrupt_while_nobody_answers_cancels_and_ends_at_once(tmp_path):
    faults = FaultySlurm(copy_project(tmp_path / "a project", SLURM))
    project = faults.project
    project.configure()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs in the background ignore it
    process = project.start("results/tiny/digits/lenet5/check.json")
    try:
        wait(lambda: [job for job in jobs(project) if job["JobState"] == "RUNNING"], seen=project.output.read_text)
        faults.fails(AWAY, "squeue", "scontrol")
        wait(lambda: "Slurm does not say" in project.output.read_text(), seen=project.output.read_text)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 1
        wait(lambda: [job["JobState"] for job in jobs(project)] == ["CANCELLED"])
    finally:
        process.kill()


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
