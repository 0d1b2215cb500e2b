"""Jobs that take whole nodes share one, but none waits for what needs a training run or has failed."""

import subprocess
from collections import deque
from types import SimpleNamespace

import pytest

from winnow.cluster.jobs import comment_of
from winnow.cluster.sharing import Sharing, one_after_another, takes_whole_node


class Job:
    def __init__(self, rule: str, log: str, before=(), **resources):
        self.rule, self.log = SimpleNamespace(name=rule), [f"results/tiny/logs/{rule}/{log}.log"]
        self.before, self.resources = before, {"runtime": 30} | resources

    def is_group(self):
        return False


class Dag:
    """Four files of one run and one of another; the first is ready, others need something."""

    def __init__(self):
        self.made = set()
        export = Job("export", "net/dense")
        making = {"fp32": export, "dynamic": Job("quantize_dynamic", "net/dense", [export])}
        making |= {
            "ptq": Job("calibrate", "net/dense", [export]),
            "qat": Job("train_quantized", "net/dense", runtime=480),
        }
        self.making = making
        self.timing = {name: self.benchmark(f"net/dense/{name}", job) for name, job in making.items()}
        self.other = self.benchmark("net/l1/round1/fp32", export)
        self.jobs = [*making.values(), *self.timing.values(), self.other]
        self.dependencies = None

    @staticmethod
    def benchmark(log, before):
        return Job("benchmark", log, [before], slurm_extra="--mail-type=FAIL --exclusive")

    def needrun_jobs(self, exclude_finished=True):
        assert not exclude_finished
        return self.jobs

    def needrun(self, job):
        return job in self.jobs

    def finished(self, job):
        return job in self.made

    def bfs(self, _, *jobs, stop):
        queue = deque(jobs)
        while queue:
            job = queue.popleft()
            if not stop(job):
                yield job
                queue.extend(job.before)


@pytest.fixture
def dag():
    return Dag()


@pytest.fixture
def workflow(dag):
    return SimpleNamespace(dag=dag, scheduler=SimpleNamespace(failed=set(), running={dag.making["qat"]}))


def test_all_files_of_a_run_go_together_but_for_one_that_is_to_be_trained(dag, workflow):
    sharing = Sharing(workflow, most=25)
    dag.made.add(dag.making["fp32"])
    sharing.add([dag.timing["fp32"]])
    assert sharing.take() == []
    dag.made.add(dag.making["dynamic"])
    sharing.add([dag.timing["dynamic"], dag.other])
    assert sharing.take() == [[dag.other]]  # alone in its run
    dag.made.add(dag.making["ptq"])
    sharing.add([dag.timing["ptq"]])
    assert sharing.take() == [[dag.timing[name] for name in ("fp32", "dynamic", "ptq")]]
    assert sharing.take() == []
    workflow.scheduler.running |= {dag.timing[name] for name in ("fp32", "dynamic", "ptq")}
    sharing.add([dag.timing["qat"]])
    assert sharing.take() == [[dag.timing["qat"]]]


def test_what_has_failed_is_not_waited_for(dag, workflow):
    sharing = Sharing(workflow, most=25)
    dag.made |= {dag.making["fp32"], dag.making["dynamic"]}
    sharing.add([dag.timing["fp32"], dag.timing["dynamic"]])
    assert sharing.take() == []
    workflow.scheduler.failed.add(dag.making["ptq"])
    assert sharing.take() == [[dag.timing["fp32"], dag.timing["dynamic"]]]


def test_nobody_waits_when_nothing_else_runs(dag, workflow):
    """After a SIGTERM Snakemake begins nothing new, and ends with what runs."""
    sharing = Sharing(workflow, most=25)
    dag.made.add(dag.making["fp32"])
    sharing.add([dag.timing["fp32"]])
    assert sharing.take() == []
    workflow.scheduler.running = {dag.timing["fp32"]}
    assert sharing.take() == [[dag.timing["fp32"]]]


def test_no_more_wait_than_may(dag, workflow):
    sharing = Sharing(workflow, most=1)
    dag.made |= {dag.making["fp32"], dag.making["dynamic"]}
    sharing.add([dag.timing["fp32"]])
    assert sharing.take() == []
    sharing.add([dag.timing["dynamic"]])
    assert sharing.take() == [[dag.timing["fp32"], dag.timing["dynamic"]]]


def test_only_whole_nodes_are_shared(dag):
    assert takes_whole_node(dag.other)
    assert not takes_whole_node(dag.making["fp32"])
    assert not takes_whole_node(Job("benchmark", "a", slurm_extra="--exclusive=user"))


def test_they_are_called_by_what_they_have_in_common(dag):
    assert comment_of("tiny", *dag.timing.values()) == "tiny: benchmark of net/dense"
    assert comment_of("tiny", dag.timing["qat"]) == "tiny: benchmark of net/dense/qat"


def test_one_that_fails_keeps_none_from_running_and_the_node_from_ending_well(tmp_path):
    done = [tmp_path / f"a folder {number}" for number in range(3)]
    command = one_after_another(["true", "cd /nowhere && true", "true"], done)
    assert "$" not in command
    code = subprocess.run(["bash", "-c", command], check=False, capture_output=True).returncode
    assert code == 1
    assert [path.exists() for path in done] == [True, False, True]
    assert subprocess.run(["bash", "-c", one_after_another(["true"], done[1:2])], check=False).returncode == 0
