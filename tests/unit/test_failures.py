"""A failed job is one line that says why, whoever was in its group; and what no attempt would mend is not repeated."""

import logging
from types import SimpleNamespace

import pytest
from snakemake.jobs import GroupJob, Job
from snakemake_interface_logger_plugins.common import LogEvent

from winnow.errors import Occupied, WinnowError, is_final
from winnow.planning.failures import Failures, give_up_what_is_refused
from winnow.refusal import allow, allow_all, refusal, refuse
from winnow.study import status

RUN = "digits/lenet5/seed0/dense"
SLURM = (
    "SLURM-job '22' failed, SLURM status is: '{}'. Detailed failure reason unavailable (status command is not 'sacct')."
    "For further error details see the cluster/cloud log and the log files of the involved rule(s)."
)


@pytest.fixture
def logs(tmp_path):
    return tmp_path / "results/tiny/logs"


def job(
    logs, number: int, rule: str, said: str | None = None, words: str | None = None, in_group: bool = False
) -> dict:
    """What Snakemake tells of a failed job, whose log says something if it began at all."""
    log = logs / rule / f"{RUN}.log"
    if said is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(said)
    data = {"event": LogEvent.JOB_ERROR, "rule_name": rule, "jobid": number, "log": [str(log), "slurm/22.log"]}
    return data | {"rule_msg": words, "indent": in_group, "levelno": logging.ERROR}


def printed(failures: Failures, *told: dict) -> list[str]:
    records = [logging.makeLogRecord(data) for data in told]
    return [record.msg for record in records if failures.filter(record)]


def ended(*numbers: int) -> SimpleNamespace:
    members = [SimpleNamespace(jobid=number, is_group=lambda: False) for number in numbers]
    return SimpleNamespace(is_group=lambda: True, jobs=members) if len(members) > 1 else members[0]


def test_the_cause_is_what_the_job_says(logs):
    failures = Failures(logs)
    line = f"train of {RUN}: the loss is not finite (log: {logs}/train/{RUN}.log)"
    said = f"epoch 1\n12:00:00 error: {RUN}: the loss is not finite\n"
    assert printed(failures, job(logs, 3, "train", said, SLURM.format("FAILED"))) == [line]
    assert failures.summary([ended(3)]) == f"1 failed, with all that needs them:\n  {line}"
    assert failures.summary([]) == ""


def test_why_a_job_was_ended_is_there_for_the_live_report(logs):
    """It cannot say so itself, and what it has written before looks as if it went on."""
    failures = Failures(logs)
    printed(failures, job(logs, 3, "train", "epoch 1", SLURM.format("TIMEOUT")), job(logs, 4, "prune", "pruned", None))
    assert status.failures(logs.parent) == []
    failures.leave_word([ended(3)])
    (found,) = status.failures(logs.parent)
    assert str(found) == f"train of {RUN}: Slurm job 22 ended as TIMEOUT"
    folder = logs / "retrain/digits/lenet5/seed0/l1-0.9"
    refuse(folder / "round1.log", "Slurm refuses it: Invalid account")  # and no log, for it never began
    (_, found) = sorted(status.failures(logs.parent), key=str, reverse=True)
    assert str(found) == "retrain of digits/lenet5/seed0/l1-0.9/round1: Slurm refuses it: Invalid account"


@pytest.mark.parametrize("status", ["TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "NODE_FAIL"])
def test_what_slurm_ended_did_not_fail_by_what_an_earlier_attempt_says(logs, status):
    old = job(logs, 3, "train", "error: of an earlier attempt", SLURM.format(status))
    assert printed(Failures(logs), old)[0].startswith(f"train of {RUN}: Slurm job 22 ended as {status}")


def test_what_was_never_submitted_is_what_slurm_says(logs):
    refused = job(logs, 3, "train", words="SLURM sbatch failed. The error message was 'Invalid account'.\n")
    line = f"train of {RUN}: SLURM sbatch failed. The error message was 'Invalid account'."
    assert printed(Failures(logs), refused) == [line]
    assert printed(Failures(logs), job(logs, 3, "train")) == [
        f"train of {RUN}: ended without a word; it may have been killed"
    ]


def test_of_a_group_those_are_named_that_failed(logs):
    failures, words = Failures(logs), SLURM.format("FAILED")
    members = [
        job(logs, 1, "calibrate", f"error: {RUN}: refused", words, in_group=True),
        job(logs, 2, "evaluate", None, words, in_group=True),
        job(logs, 3, "export", "exported", words, in_group=True),
    ]
    group = {"event": LogEvent.GROUP_ERROR, "groupid": "a", "job_error_info": [m | {"rule_msg": None} for m in members]}
    (line,) = printed(failures, group, *members)
    assert line.startswith(f"calibrate of {RUN}: refused")
    assert failures.summary([ended(1, 2, 3)]).splitlines()[0] == "1 failed, with all that needs them:"


def test_a_group_without_a_culprit_is_one_line(logs):
    words = SLURM.format("TIMEOUT")
    members = [job(logs, 0, "prune", None, words, True), job(logs, 1, "retrain", "error: of before", words, True)]
    group = {"event": LogEvent.GROUP_ERROR, "groupid": "a", "job_error_info": [m | {"rule_msg": None} for m in members]}
    assert printed(Failures(logs), group, *members) == [f"prune of {RUN}: Slurm job 22 ended as TIMEOUT"]


def test_other_messages_pass(logs):
    assert printed(Failures(logs), {"msg": "Select jobs to execute..."}) == ["Select jobs to execute..."]


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (WinnowError("the loss is not finite"), True),
        (Occupied("is being written by process 3"), False),
        (MemoryError(), False),
        (IndexError("nobody foresaw it"), False),
    ],
)
def test_only_what_the_user_has_to_mend_is_final(error, final):
    assert is_final(error) == final


@pytest.mark.parametrize(
    ("cause", "final"),
    [
        (ValueError("3 channels"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), False),
        (OSError(116, "Stale file handle"), False),
    ],
)
def test_what_another_node_may_not_have_is_tried_there(cause, final):
    error = WinnowError("the network cannot be trained")
    error.__cause__ = cause
    assert is_final(error) == final


def test_a_refused_job_is_not_restarted_until_it_begins_anew(logs, monkeypatch):
    for kind in (Job, GroupJob):
        monkeypatch.setattr(kind, "restart_times", kind.restart_times)
    give_up_what_is_refused()
    jobs = [object.__new__(Job) for _ in range(2)]
    for number, single in enumerate(jobs):
        single.rule = SimpleNamespace(restart_times=2)
        monkeypatch.setattr(type(single), "log", property(lambda job: job._log), raising=False)
        single._log = [logs / f"{number}.log"]
    group = object.__new__(GroupJob)
    group.jobs = jobs
    logs.mkdir(parents=True)
    assert [entry.restart_times for entry in (*jobs, group)] == [2, 2, 2]
    refuse(logs / "0.log", "the loss is not finite")
    assert refusal(logs / "0.log") == "the loss is not finite"
    assert [entry.restart_times for entry in (*jobs, group)] == [0, 2, 0]
    allow(logs / "0.log")
    assert [entry.restart_times for entry in (*jobs, group)] == [2, 2, 2]
    refuse(logs / "1.log", "no GPU")
    allow_all(logs)
    assert refusal(logs / "1.log") is None


def test_a_refusal_that_cannot_be_written_is_no_error(logs):
    logs.mkdir(parents=True)
    refuse(logs / "a folder" / "0.log", "no GPU")
    assert refusal(logs / "a folder" / "0.log") == "no GPU"
    (logs / "a file").touch()
    refuse(logs / "a file" / "0.log", "no GPU")
    assert refusal(logs / "a file" / "0.log") is None
