"""The estimate: what it adds up, where its numbers come from, and how long jobs that wait for each other take."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from snakemake.iocontainers import ResourceList
from snakemake_interface_logger_plugins.common import LogEvent

from samples import REPOSITORY
from winnow.config.resolve import resolve
from winnow.config.study import Study
from winnow.errors import WinnowError
from winnow.planning.costs import ASSUMED_QAT_FACTOR, ASSUMED_SECONDS, Costs
from winnow.planning.dry_run import Plan, PlannedJob, Recorder, read_events
from winnow.planning.estimate import duration, estimate, plan_text
from winnow.train.history import write_history

PLACE = {"dataset": "cifar10", "model": "resnet18", "seed": "0"}
STRATEGY = "l1-global-unstructured-0.9-x5-lr"


def event(**data) -> logging.LogRecord:
    """An event as Snakemake logs it."""
    return logging.makeLogRecord({"levelno": logging.INFO} | data)


def told(rule: str, outputs: list[str], inputs=(), threads: int = 1, **resources) -> logging.LogRecord:
    data = {"event": LogEvent.JOB_INFO, "rule_name": rule, "input": list(inputs), "output": outputs}
    return event(**data, wildcards=PLACE, threads=threads, resources=ResourceList(fromdict=resources))


def job(rule: str, inputs=(), outputs=("made",), threads: int = 1, gpus: int = 0, **wildcards: str) -> PlannedJob:
    return PlannedJob(rule, PLACE | wildcards, inputs, outputs, threads, gpus)


def study(**changes) -> Study:
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    return resolve(config | changes)


@pytest.fixture
def costs(tmp_path) -> Costs:
    return Costs(study(), tmp_path / "results")


def history(results: Path, study: str, seconds: list[float], run: str = "dense") -> None:
    folder = results / study / "cifar10" / "resnet18" / "seed0" / run
    folder.mkdir(parents=True)
    row = dict.fromkeys(("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"), 0.5)
    row |= {"learning_rate": 0.1, "images_per_second": 1.0}
    write_history(folder / "history.csv", [{"epoch": k + 1, "seconds": s, **row} for k, s in enumerate(seconds)])


def test_a_dry_run_is_read():
    data, weights = "results/data/a, b.safetensors", "results/s/weights.safetensors"
    events = [
        event(event=LogEvent.RUN_INFO, stats={"prepare_dataset": 1, "train": 1, "benchmark": 1, "all": 1, "total": 4}),
        told("prepare_dataset", [data], threads=1),
        told("train", [weights], inputs=[data], threads=4, gpu=1),
        told("benchmark", ["speed.json"], slurm_extra="--mail-type=FAIL --exclusive"),
        told("all", [], inputs=[weights]),
    ]
    plan = read_events(events)
    found = [(job.rule, job.threads, job.gpus, job.whole_node) for job in plan.jobs]
    assert found == [("prepare_dataset", 1, 0, False), ("train", 4, 1, False), ("benchmark", 1, 0, True)]
    assert plan.jobs[1].wildcards == PLACE
    assert plan.after == [[], [0], []]
    assert plan.rule_graph == {"prepare_dataset": ["train"], "train": [], "benchmark": []}
    assert read_events([]).jobs == []


def test_a_plan_that_lacks_jobs_is_refused():
    events = [told("train", ["a"]), event(event=LogEvent.RUN_INFO, stats={"train": 1, "retrain": 612, "total": 613})]
    with pytest.raises(WinnowError, match="Snakemake counts 613 jobs, but tells of 1"):
        read_events(events)


def test_of_what_snakemake_says_while_it_plans_only_errors_are_shown():
    recorder = Recorder()
    shown = [recorder.filter(record) for record in (told("train", ["a"]), event(levelno=logging.ERROR))]
    assert shown == [False, True]
    assert [record.rule_name for record in recorder.events] == ["train"]


def test_epochs_are_those_of_each_kind_of_training(costs):
    assert costs.epochs(job("train")) == 50
    assert costs.epochs(job("train_quantized")) == 10
    assert costs.epochs(job("retrain", pruning=STRATEGY, round="2")) == 50
    rewound = Costs(study(pruning={"ratio": [0.9], "rewind": [12]}), costs.results)
    assert rewound.epochs(job("retrain", pruning="l1-global-unstructured-0.9-x1-epoch12", round="1")) == 38


def test_seconds_are_measured_where_they_can_be(costs):
    assert costs.epoch_time(job("train")).seconds == 45_000 / 500
    assert "assumed: 45000 images at 500 images/s" in costs.epoch_time(job("train")).source
    history(costs.results, "another", [7.0])
    measured = Costs(costs.study, costs.results)
    assert measured.epoch_time(job("train")).source == "median of 1 epochs measured in another"
    assert measured.epoch_time(job("train_quantized")).seconds == pytest.approx(7 * ASSUMED_QAT_FACTOR)
    history(costs.results, "cifar", [2.0, 4.0, 9.0])
    history(costs.results, "cifar", [5.0], run="dense/qat")
    measured = Costs(costs.study, costs.results)
    assert measured.seconds(job("train")) == 50 * 4
    assert measured.seconds(job("retrain", pruning=STRATEGY, round="2")) == 50 * 4
    assert measured.seconds(job("train_quantized")) == 10 * 5
    assert measured.epoch_time(job("train", model="resnet50")).seconds == 90


def test_a_teacher_takes_its_time(costs):
    """What an epoch took is known of the dense network, which had none."""
    history(costs.results, "cifar", [4.0])
    taught = study(
        quantization={"qat": {"epochs": 3, "distill": {"weight": 0.5}}},
        pruning={"ratio": [0.9], "rewind": ["init"], "retrain": {"distill": {"weight": 0.5}}},
    )
    measured, strategy = Costs(taught, costs.results), next(iter(taught.strategies))
    assert measured.seconds(job("train")) == 50 * 4
    assert measured.seconds(job("retrain", pruning=strategy, round="1")) == pytest.approx(50 * 4 * 4 / 3)
    aware = measured.epoch_time(job("train_quantized"))
    assert aware.seconds == pytest.approx(4 * ASSUMED_QAT_FACTOR * 4 / 3)
    assert aware.source == "assumed: 2.27 x the base training"
    history(costs.results, "cifar", [9.0], run="dense/qat")  # which had it
    assert Costs(taught, costs.results).seconds(job("train_quantized")) == 3 * 9


def test_other_jobs_take_what_their_logs_say(costs):
    assert costs.seconds(job("evaluate")) == ASSUMED_SECONDS["evaluate"]
    # three runtimes, two batch sizes, five seconds after one of warm-up
    assert costs.seconds(job("benchmark")) == ASSUMED_SECONDS["benchmark"] + 3 * 2 * 6
    for precision, seconds in {"fp32": 3, "ptq": 5}.items():
        log = costs.results / f"cifar/logs/evaluate/cifar10/resnet18/seed0/dense/{precision}.tsv"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"s\th:m:s\n{seconds}.0\t0:00:0{seconds}\n")
    (costs.results / "cifar/logs/prepare_dataset").mkdir()
    (costs.results / "cifar/logs/prepare_dataset/cifar10.tsv").write_text("s\th:m:s\n11.0\t0:00:11\n")
    measured = Costs(costs.study, costs.results)
    assert measured.seconds(job("evaluate")) == 4
    assert measured.seconds(PlannedJob("prepare_dataset", {"dataset": "cifar10"}, (), ("made",), 1, 0)) == 11


def test_disk_counts_what_is_not_there(costs, tmp_path):
    run = tmp_path / "results/cifar/cifar10/resnet18/seed0/dense"
    outputs = [str(run / name) for name in ("weights.safetensors", "ptq/model.onnx")]
    assert costs.size(job("train", outputs=outputs)) == 4 * 11.2e6 + 11.2e6
    run.mkdir(parents=True)
    (run / "weights.safetensors").write_bytes(bytes(4000))
    assert Costs(costs.study, costs.results).size(job("train", outputs=outputs)) == 1000
    pruned = [str(run.parent / STRATEGY / "round1" / name) for name in ("start.safetensors", "masks.safetensors")]
    assert Costs(costs.study, costs.results).size(job("prune", outputs=pruned)) == 1000


@pytest.fixture
def diamond(costs) -> Plan:
    """One job of 10 s, then two of 20 s beside each other, then one of 5 s."""
    seconds = {"evaluate": 10.0, "export": 20.0, "prune": 20.0, "collect": 5.0}
    costs._known = {("job", rule, "cifar10", "resnet18"): value for rule, value in seconds.items()}
    return Plan(
        [
            job("collect", inputs=("b", "c"), outputs=("d",)),  # order does not matter
            job("evaluate", outputs=("a",), threads=4, gpus=1),
            job("export", inputs=("a",), outputs=("b",)),
            job("prune", inputs=("a", "from before"), outputs=("c",)),
        ]
    )


def test_wall_time_is_that_of_so_many_slots(diamond, costs):
    one, two, many = (estimate(diamond, costs, slots) for slots in (1, 2, 50))
    assert one.wall_hours * 3600 == pytest.approx(55)
    assert two.wall_hours * 3600 == pytest.approx(35)
    assert many.wall_hours == two.wall_hours == pytest.approx(two.chain_hours)
    assert one.cpu_hours["evaluate"] * 3600 == pytest.approx(40)
    assert one.gpu_hours == {"collect": 0, "evaluate": pytest.approx(10 / 3600), "export": 0, "prune": 0}
    assert one.jobs == {"collect": 1, "evaluate": 1, "export": 1, "prune": 1}


def test_the_plan_as_text_names_all_of_it(diamond, costs):
    text = plan_text(diamond, costs, 2)
    assert "Study cifar: 4 jobs to run" in text
    assert "Wall time with 2 jobs at a time: 35 s" in text
    assert "evaluate -> export, prune" in text
    assert "whole nodes" not in text
    assert plan_text(Plan([]), costs, 2) == "Study cifar: 0 jobs to run\n"


def test_a_whole_node_costs_all_of_its_cores(costs):
    plan = Plan([replace(job("evaluate", threads=2), whole_node=True), job("export", threads=2)])
    known = replace(costs, node_cores=64)
    seconds = {rule: costs.seconds(job(rule)) for rule in ("evaluate", "export")}
    whole = estimate(plan, known, 1)
    assert whole.cpu_hours["evaluate"] * 3600 == pytest.approx(64 * seconds["evaluate"])
    assert whole.cpu_hours["export"] * 3600 == pytest.approx(2 * seconds["export"])
    assert whole.node_hours == {"evaluate": pytest.approx(seconds["evaluate"] / 3600)}
    assert (
        "takes whole nodes: 1 job, of which those of a run share one, 0.01 node hours, with all 64 cores"
        in plan_text(plan, known, 1)
    )
    assert estimate(plan, costs, 1).cpu_hours["evaluate"] * 3600 == pytest.approx(2 * seconds["evaluate"])
    assert "all are charged: say --node-cores" in plan_text(plan, costs, 1)


@pytest.mark.parametrize(("hours", "text"), [(0.01, "36 s"), (0.5, "30 min"), (5.25, "5.25 h"), (100, "4.17 days")])
def test_durations_are_readable(hours, text):
    assert duration(hours) == text
