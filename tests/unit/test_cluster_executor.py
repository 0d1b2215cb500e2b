"""The executor for Slurm, with a Slurm of scripts that say Slurm's words: silence, forgotten jobs, refusals."""

import asyncio
import logging
import subprocess
import threading
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake.iocontainers import ResourceList
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from samples import REPOSITORY
from winnow.cluster import executor as executor_module
from winnow.cluster import watching
from winnow.cluster.executor import TRIED_WITH, PatientExecutor
from winnow.cluster.pending import Watch
from winnow.cluster.submission import concerns_all, is_passing, is_unanswered, sentence
from winnow.refusal import refusal

AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
MISSING = "sbatch: error: Batch job submission failed: "


class Limiter:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *arguments):
        return False


class Job:
    """A job of Snakemake as far as an executor looks at it."""

    def __init__(self, rule: str = "train", **resources):
        self.rule, self.name, self.jobid, self.threads = SimpleNamespace(name=rule), rule, 1, 1
        self.attempt = 1
        self.log = [f"results/tiny/logs/{rule}/digits/lenet5/seed0.log"]
        self.resources = ResourceList(fromdict=resources | {"runtime": 30, "mem_mb": 4000})
        self.wildcards = ["digits", "lenet5", "0"]

    def is_group(self):
        return False


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Write a command of Slurm: `slurm("squeue", "echo ...")`."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()

    def command(name: str, script: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    for name in ("squeue", "sbatch", "scontrol", "scancel", "sinfo", "sacct"):
        command(name, f"echo '{AWAY}' >&2; exit 1")
    return command


@pytest.fixture
def executor(slurm, tmp_path, monkeypatch):  # noqa: ARG001
    """One that runs, without Snakemake around it and without pauses."""
    for home in (executor_module, watching):
        monkeypatch.setattr(home, "PAUSE", 0.05)
    for name in ("get_min_job_age", "query_job_status", "get_submit_command"):
        monkeypatch.setattr(plugin, name, getattr(plugin, name))
    monkeypatch.setattr(plugin, "clean_old_logs", lambda: None, raising=False)
    settings = plugin.ExecutorSettings(status_command="squeue", status_attempts=1, init_seconds_before_status_checks=1)
    workflow = SimpleNamespace(
        executor_settings=settings,
        resource_settings=SimpleNamespace(nodes=8),
        workdir_init=str(tmp_path),
        remote_execution_settings=SimpleNamespace(seconds_between_status_checks=1, immediate_submit=False),
    )
    made = object.__new__(type("StudyExecutor", (PatientExecutor,), {"study": "tiny"}))
    monkeypatch.setattr(plugin.RemoteExecutor, "__init__", lambda *_: None)
    made.workflow, made.logger, made.status_rate_limiter = workflow, logging.getLogger("a study"), Limiter()
    made.lock, made.wait, made.active_jobs, made._next_seconds_between_status_checks = threading.Lock(), True, [], 1
    made.ended = {}
    made.__init__(workflow, made.logger)
    made.__post_init__()
    monkeypatch.setattr(
        plugin.Executor, "report_job_success", lambda self, job: self.ended.update({job.external_jobid: 0})
    )
    monkeypatch.setattr(
        plugin.Executor,
        "report_job_error",
        lambda self, job, msg=None, **_: self.ended.update({job.external_jobid: msg}),
    )
    monkeypatch.setattr(plugin.Executor, "report_job_submission", lambda self, job: self.active_jobs.append(job))
    monkeypatch.setattr(plugin.Executor, "format_job_exec", lambda *_: "true", raising=False)
    return made


def active(*numbers: str) -> list[SubmittedJobInfo]:
    return [SubmittedJobInfo(None, external_jobid=number, aux={"slurm_logfile": Path("none")}) for number in numbers]


def check(executor, *numbers: str, kind=PatientExecutor) -> list[str]:
    """Return the jobs that are active after a look."""

    async def look():
        return [job.external_jobid async for job in kind.check_active_jobs(executor, active(*numbers))]

    return asyncio.run(look())


def listed(states: dict[str, str]) -> str:
    """A squeue that knows these jobs, for the two formats it is asked in."""
    lines = "".join(f"{number}|{state}|cpu|None\\n" for number, state in states.items())
    return f"printf '{lines}'"


def test_it_was_tried_with_this_plugin_which_still_needs_it(executor):
    """Fails when upstream mends issue 207, or changes: look at docs/slurm-plugin.patch and winnow.cluster then."""
    assert version("snakemake-executor-plugin-slurm") == TRIED_WITH
    assert check(executor, "21", kind=plugin.Executor) == []  # the plugin forgets a job that it could not ask for


def test_a_job_is_no_job_step_of_another_snakemake(executor):
    assert "slurm-jobstep" in plugin.Executor.additional_general_args(executor)
    assert executor.additional_general_args() == ""


def test_with_another_plugin_it_stands_back_and_says_so(monkeypatch):
    entry = executor_module.ExecutorPluginRegistry().get_plugin("slurm")
    monkeypatch.setattr(entry, "executor", plugin.Executor)
    monkeypatch.setattr(executor_module, "version", lambda _: "2.9.0")
    assert "is 2.9.0, and Winnow stands in for 2.8.0 only" in executor_module.install("tiny")
    assert entry.executor is plugin.Executor
    monkeypatch.undo()
    monkeypatch.setattr(entry, "executor", plugin.Executor)
    assert executor_module.install("tiny") == ""
    assert issubclass(entry.executor, PatientExecutor)
    assert entry.executor.study == "tiny"


def test_the_patch_for_the_plugin_applies():
    done = subprocess.run(
        ["patch", "--dry-run", "-p1", "-d", str(Path(plugin.__file__).parents[1])],
        input=(REPOSITORY / "docs/slurm-plugin.patch").read_text(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_no_answer_is_no_answer(executor, slurm, caplog):
    assert check(executor, "21", "22") == ["21", "22"]
    assert check(executor, "21", "22") == ["21", "22"]
    assert executor.next_seconds_between_status_checks == watching.PAUSE
    assert [record.message for record in caplog.records if "Slurm does not say" in record.message] == [
        "Slurm does not say how its 2 jobs are; asking again until it does"
    ]
    slurm("squeue", listed({"21": "COMPLETED", "22": "RUNNING"}))
    assert check(executor, "21", "22") == ["22"]
    assert executor.ended == {"21": 0}
    assert "Slurm answers again" in caplog.text


def test_a_job_that_slurm_has_forgotten_has_ended(executor, slurm):
    slurm("squeue", listed({"22": "RUNNING"}))
    assert check(executor, "21", "22") == ["22", "21"] or check(executor) == []
    assert sorted(check(executor, "21", "22")) == ["22"]
    assert executor.ended == {"21": 0}  # whether it ended well, Snakemake tells by its files


def test_a_job_without_a_log_is_what_slurm_says_of_it(executor, slurm):
    slurm("squeue", listed({"21": "FAILED"}))
    shown = "JobId=21 JobName=wrap JobState=FAILED Reason=JobLaunchFailure Requeue=1 ExitCode=0:53 NodeList=gpu1"
    slurm("scontrol", f"echo '{shown} ReqNodeList=(null)'")
    assert check(executor, "21") == []
    assert executor.ended["21"] == (
        "Slurm job 21 ended as FAILED, Reason=JobLaunchFailure, ExitCode=0:53 on gpu1, and left no log: "
        "is there space for none, and may you write there?"
    )
    slurm("scontrol", "exit 1")
    check(executor, "21")
    assert executor.ended["21"].startswith("Slurm job 21 ended, and left no log: is there space for none")


def test_looks_are_so_often_that_slurm_still_remembers(executor, slurm):
    slurm("squeue", listed({"21": "RUNNING"}))
    for age, longest in ((60, 20), (3600, 60)):
        slurm("scontrol", f"echo 'MinJobAge = {age} sec'")
        executor.next_seconds_between_status_checks = 180
        assert check(executor, "21") == ["21"]
        assert executor.next_seconds_between_status_checks <= longest
    slurm("scontrol", "exit 1")
    assert plugin.get_min_job_age() == 3600  # the last that is known


def test_what_is_being_asked_about_is_cancelled_too(executor, slurm, tmp_path):
    slurm("scancel", f"echo $@ >> {tmp_path}/cancelled")
    executor._asked = active("21")
    executor.cancel_jobs(active("22"))
    assert sorted((tmp_path / "cancelled").read_text().split()) == ["21", "22"]


def test_a_cancellation_that_slurm_does_not_take_says_what_to_do(executor, caplog):
    executor.cancel_jobs(active("22"))
    assert "When Slurm answers again: scancel 22" in caplog.text


def test_a_question_ends_with_snakemake(executor, slurm):
    slurm("squeue", "sleep 30")
    threading.Timer(0.5, executor._stopped.set).start()
    assert check(executor, "21") == ["21"]


def submit(executor, **resources) -> str:
    job = Job(slurm_partition="cpu", **resources)
    executor.run_job(job)
    return job.log[0]


def test_a_submission_is_repeated_until_slurm_is_there(executor, slurm, tmp_path):
    """What it had taken without saying so, by then, is cancelled, so that no two do the same work."""
    slurm("scancel", f"echo $@ >> {tmp_path}/cancelled")
    slurm("squeue", "echo '7|tiny: train of digits/lenet5/seed0'; echo '8|tiny: train of digits/lenet5/seed1'")
    words = "Socket timed out on send/recv operation"
    slurm(
        "sbatch",
        f"echo $@ >> calls; [ $(wc -l < calls) -gt 2 ] && echo 9 || {{ echo '{MISSING}{words}' >&2; exit 1; }}",
    )
    submit(executor)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3
    assert "--comment tiny: train of digits/lenet5/seed0 " in calls[0]
    assert (tmp_path / "cancelled").read_text().split() == ["7", "7"]
    assert [job.external_jobid for job in executor.active_jobs] == ["9"]
    assert executor.ended == {}


@pytest.mark.parametrize(
    "words", ["Invalid account or account/partition combination specified", "Invalid qos specification"]
)
def test_what_slurm_refuses_is_asked_once(executor, slurm, tmp_path, words):
    slurm("sbatch", f"echo $@ >> calls; echo '{MISSING}{words}' >&2; exit 1")
    log = submit(executor)
    submit(executor)
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    assert executor.ended == {None: f"Slurm refuses it: {words}"}
    assert refusal(log) == f"Slurm refuses it: {words}"


def test_jobs_that_share_a_node_are_one_submission_and_each_has_its_own_end(executor, slurm, tmp_path, monkeypatch):
    monkeypatch.setattr(type(executor), "tmpdir", str(tmp_path), raising=False)
    slurm("sbatch", 'for word in "$@"; do printf "%s\\n" "$word"; done >> calls; echo 9')
    jobs = [Job("benchmark", slurm_partition="cpu", slurm_extra="--exclusive") for _ in range(2)]
    for number, job in enumerate(jobs):
        job.jobid, job.log = number, [f"results/tiny/logs/benchmark/net/dense/{number}.log"]
    executor._shared[id(jobs[0])] = jobs
    executor.run_job(jobs[0])
    call = (tmp_path / "calls").read_text()
    assert call.count("--wrap") == 1
    assert f"(true) && touch {tmp_path}/done-0-1; (true) && touch {tmp_path}/done-1-1; test -e" in call
    assert "tiny: benchmark of net/dense\n" in call
    assert "-t\n60\n" in call
    assert [(info.job, info.external_jobid) for info in executor.active_jobs] == [(job, "9") for job in jobs]
    (tmp_path / "done-0-1").touch()
    ended = {}
    monkeypatch.setattr(plugin.Executor, "report_job_success", lambda _, info: ended.update({info.job.jobid: "well"}))
    monkeypatch.setattr(
        plugin.Executor, "report_job_error", lambda _, info, msg=None, **__: ended.update({info.job.jobid: msg})
    )
    for info in executor.active_jobs:
        info.aux["slurm_logfile"] = tmp_path / "calls"
        executor.report_job_error(info, msg="failed")
    assert ended == {0: "well", 1: "failed"}


def test_waiting_for_slurm_ends_with_snakemake(executor, slurm):
    slurm("sbatch", f"echo '{MISSING}Unable to contact slurm controller (connect failure)' >&2; exit 1")
    threading.Timer(0.3, executor._stopped.set).start()
    log = submit(executor)
    assert refusal(log) is None  # it may be asked again
    assert "Unable to contact" in executor.ended[None]


@pytest.mark.parametrize(
    ("words", "passing", "unanswered"),
    [
        ("Unable to contact slurm controller (connect failure)", True, True),
        ("Socket timed out on send/recv operation", True, True),
        ("Zero Bytes were transmitted or received", True, True),
        ("QOSMaxSubmitJobPerUserLimit; Job violates accounting/QOS policy (job submit limit)", True, False),
        ("AssocMaxSubmitJobLimit; Job violates accounting/QOS policy (job submit limit)", True, False),
        ("Invalid account or account/partition combination specified", False, False),
        ("Invalid partition name specified", False, False),
        ("Requested node configuration is not available", False, False),
    ],
)
def test_what_passes_and_what_does_not(words, passing, unanswered):
    assert (is_passing(words), is_unanswered(words)) == (passing, unanswered)
    assert concerns_all(words) == (not passing and "configuration" not in words)


def test_slurms_sentence_is_one_line_without_the_command():
    said = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates policy"
    message = f"SLURM sbatch failed. The error message was '{said}'.\n    sbatch call:\n        sbatch -A 'x'.\n"
    assert sentence(message) == "AssocMaxSubmitJobLimit; Job violates policy"
    assert sentence("") == "sbatch failed without a word"


def test_jobs_that_wait_in_vain_are_named_once(slurm, caplog):
    watch = Watch("a", logging.getLogger("a study"))
    lines = ["1|PENDING|cpu|PartitionTimeLimit", "2|PENDING|gpu|Priority", "3|RUNNING|cpu|None"]
    lines += [
        "4|PENDING|cpu|Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
    ]
    slurm("squeue", "\n".join(f"echo '{line}'" for line in lines))
    slurm("sinfo", "echo 'cpu1|drained|broken fan'")
    for _ in range(2):
        assert watch.look(["1", "2", "3", "4"]) == set()
    (record,) = caplog.records
    assert "1 in partition cpu: PartitionTimeLimit." in record.message
    assert "(cpu1 is drained: broken fan)" in record.message
    assert " 2 in" not in record.message
    slurm("squeue", "echo '1|RUNNING|cpu|None'")
    watch.look(["1"])
    assert "act any more" in caplog.records[-1].message


@pytest.mark.usefixtures("slurm")
def test_it_is_silent_when_nobody_answers(caplog):
    assert Watch("a", logging.getLogger("a study")).look(["1"]) == set()
    assert not caplog.records
