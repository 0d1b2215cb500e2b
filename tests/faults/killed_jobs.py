"""Jobs that are killed before and after every write, outside Snakemake, and started again as it does.

    PYTHONPATH=workflow/scripts:tests OMP_NUM_THREADS=1 python tests/faults/killed_jobs.py FOLDER RULE STRIDE

In an empty FOLDER, makes what the rule needs, runs its script once without a kill, then with a kill at every STRIDE-th
point: before or after a call of os.replace, os.rename, os.unlink or os.fsync, and after the last line. Each killed job
is started again, and must leave what the first run left. Prints the number of points, then a line for every mistake.
"""

from __future__ import annotations

import atexit
import copy
import csv
import io
import json
import os
import runpy
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import winnow.deploy.export
import winnow.quantize.aware
import winnow.train.loop  # loaded once, before any fork
from exporting import one_registry
from projects import TINY
from samples import REPOSITORY, colored_squares, write_dataset
from winnow.config.check_request import check_request
from winnow.config.resolve import resolve
from winnow.study.check import Check, Finding
from winnow.study.training_state import STATE

SCRIPTS = REPOSITORY / "workflow" / "scripts"
HOOKED = ("replace", "rename", "unlink", "fsync")
EPOCHS = 2
CHECKSUM = 32  # bytes of SHA-256 in front of a state
WILDCARDS = {"dataset": "squares", "model": "lenet5", "seed": "0"}
PRUNED = "pruned/round1"
NORMALIZATION = {"mean": None, "std": None, "value_range": 1, "channel_order": "rgb", "stated_by": None}


class Files(list):
    """Files of a job, as a list and by name."""

    def __init__(self, **named: Any):
        super().__init__(
            name for value in named.values() for name in (value if isinstance(value, list) else [value]) if name
        )
        vars(self).update(named)


def study() -> Any:
    """Return a study with a channel-pruned network that is rewound to an epoch."""
    config = copy.deepcopy(TINY)
    config["training"] |= {"epochs": EPOCHS, "warmup_epochs": 1, "rewind_epochs": [1]}
    config["quantization"]["qat"]["epochs"] = EPOCHS
    config["pruning"] = {"structure": ["channels"], "ratio": [0.5], "rounds": [1], "rewind": ["none"]}
    config["pruning"]["retrain"] = {"distill": {"weight": 0.5}}
    return resolve(config)


def jobs() -> dict[str, SimpleNamespace]:
    """Return what Snakemake would give each script, in the order in which they need each other."""
    asked = study()
    (slug, strategy), data, dense = next(iter(asked.strategies.items())), "data.safetensors", "dense"
    model, training = asked.models["lenet5"], asked.training["lenet5"]

    def trained(folder: str) -> dict[str, str]:
        return {
            "weights": f"{folder}/weights.safetensors",
            "history": f"{folder}/history.csv",
            "record": f"{folder}/training.json",
        }

    snapshots = [f"{dense}/init.safetensors", f"{dense}/rewind-epoch1.safetensors"]
    pruned = {"start": f"{PRUNED}/start.safetensors", "masks": f"{PRUNED}/masks.safetensors"}
    qat = {name: f"{dense}/qat/{file}" for name, file in (("onnx", "model.onnx"), ("float", "float.onnx"))}
    qat |= {name: f"{dense}/qat/{file}" for name, file in (("history", "history.csv"), ("record", "training.json"))}
    made = trained(dense)
    return {
        "train": job(
            "train",
            Files(checked="check.json", data=data),
            Files(**made, snapshots=snapshots),
            {"model": model, "training": training, "tdp_watts": 65.0},
        ),
        "prune": job(
            "prune",
            Files(data=data, weights=made["weights"], masks=[], snapshot=[], init=[]),
            Files(**pruned, sparsity=f"{PRUNED}/sparsity.json"),
            {"model": model, "strategy": strategy, "pruning": asked.pruning | {"calibration_samples": 16}},
            pruning=slug,
            round="1",
        ),
        "retrain": job(
            "retrain",
            Files(data=data, **pruned, record=made["record"], teacher=made["weights"]),
            Files(**trained(PRUNED)),
            {"model": model, "retraining": asked.retraining["lenet5"][strategy["rewind"]], "tdp_watts": 65.0},
            pruning=slug,
            round="1",
        ),
        "train_quantized": job(
            "train_quantized",
            Files(
                checked="check.json",
                data=data,
                **{name: made[name] for name in ("weights", "record")},
                **{name: [] for name in ("masks", "imported", "teacher", "multipliers", "tables")},
            ),
            Files(**qat),
            {
                "model": model,
                "qat": asked.qat["lenet5"],
                "recipe": asked.recipes["qat"],
                "baked_in": False,
                "tdp_watts": 65.0,
                "request": check_request(replace(asked, strategies={}), "digits", "lenet5"),
            },
            run="dense",
            recipe="qat",
        ),
    }


def job(rule: str, inputs: Files, outputs: Files, params: dict[str, Any], **wildcards: str) -> SimpleNamespace:
    values = WILDCARDS | wildcards
    params = params | {"normalization": NORMALIZATION}
    return SimpleNamespace(
        rule=rule,
        threads=1,
        log=[f"logs/{rule}.log"],
        input=inputs,
        output=outputs,
        params=SimpleNamespace(**params, items=params.items),
        wildcards=SimpleNamespace(**values, items=values.items),
    )


def attempt(snakemake: SimpleNamespace, kill_at: int | None) -> tuple[int, int]:
    """Run a script in a process of its own, and kill it at a point.

    Returns:
        The exit status, negative for a signal, and the number of points that were passed.
    """
    for path in snakemake.output:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).unlink(missing_ok=True)
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 2)
            passed = hook(kill_at)
            sys.modules["__main__"].snakemake = snakemake
            try:
                runpy.run_path(str(SCRIPTS / f"{snakemake.rule}.py"), init_globals={"snakemake": snakemake})
                status = 0
            except SystemExit as end:
                status = end.code
            atexit._run_exitfuncs()
            os.write(writer, str(len(passed)).encode())
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        finally:
            os._exit(status)
    os.close(writer)
    _, status = os.waitpid(process, 0)
    with os.fdopen(reader) as points:
        return os.waitstatus_to_exitcode(status), int(points.read() or -1)


def hook(kill_at: int | None) -> list[str]:
    """Count the points before and after every hooked call, and die at one of them."""
    passed: list[str] = []

    def wrapped(call):
        def called(*arguments, **options):
            point(call.__name__)
            try:
                return call(*arguments, **options)
            finally:
                point(call.__name__)

        return called

    def point(name: str) -> None:
        if len(passed) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed.append(name)

    for name in HOOKED:
        setattr(os, name, wrapped(getattr(os, name)))
    return passed


def content(path: str) -> Any:
    """Return a file without what is a matter of time."""
    if path.endswith(".csv"):
        rows = list(csv.DictReader(Path(path).read_text().splitlines()))
        return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]
    if path.endswith("training.json"):
        timed = ("seconds", "energy", "total_seconds", "total_joules", "resumed")
        return {k: v for k, v in json.loads(Path(path).read_text()).items() if k not in timed}
    return Path(path).read_bytes()


def saved_epoch(state: Path) -> int:
    """Return how many epochs a state has behind it, read without the code that is under test."""
    if not state.exists():
        return 0
    return torch.load(io.BytesIO(state.read_bytes()[CHECKSUM:]), weights_only=True)["progress"]["epoch"]


def mistakes(snakemake: SimpleNamespace, point: int, expected: dict[str, Any]) -> list[str]:
    """Kill a job at a point, start it again, and say what is not as it should be.

    Beyond the last point it ends by itself, but its outputs are deleted: Snakemake was killed before it took them.
    """
    folder = Path(snakemake.output.history).parent
    state = folder / STATE
    state.unlink(missing_ok=True)
    status, _ = attempt(snakemake, point)
    found = [] if status in (0, -signal.SIGKILL) else [f"the killed attempt ended in {status}"]
    behind = saved_epoch(state)
    history = Path(snakemake.output.history)
    if history.exists() and len(content(str(history))) > behind:
        found.append(f"history.csv is ahead of the state, which has {behind} epochs")
    status, _ = attempt(snakemake, None)
    log = Path(snakemake.log[0]).read_text()
    if status:
        return [*found, f"the next attempt ended in {status}: {log[-300:]}"]
    trained = [epoch for epoch in range(1, EPOCHS + 1) if f": epoch {epoch}: loss" in log]
    if trained != list(range(behind + 1, EPOCHS + 1)):
        found.append(f"after {behind} epochs, epochs {trained} were trained")
    found += [f"{path} differs" for path in snakemake.output if content(path) != expected[path]]
    declared = {Path(path).name for path in snakemake.output if Path(path).parent == folder}
    left = {path.name for path in folder.iterdir() if path.is_file()} - declared - {STATE} - others(folder)
    return [*found, f"left behind: {sorted(left)}"] if left else found


def others(folder: Path) -> set[str]:
    """Return what other jobs write into a folder."""
    return {"start.safetensors", "masks.safetensors", "sparsity.json"} if folder == Path(PRUNED) else set()


def load_exporter() -> None:
    """Export once before any fork: what this loads and collects takes seconds."""
    one_registry(pytest.MonkeyPatch())
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)).eval()
    winnow.deploy.export.export_onnx(network, torch.zeros(2, 1, 2, 2), "loaded.onnx", {})


def main(folder: str, rule: str, stride: str) -> None:
    os.chdir(folder)
    torch.set_num_threads(1)
    load_exporter()
    write_dataset(Path("data.safetensors"), replace(colored_squares(60, 4), name="squares"))
    findings = tuple(Finding(what, True, None, 0.1, {}) for what in ("fp32", "dynamic", "ptq", "qat"))
    Check(dataset="squares", model="lenet5", works=True, checks=findings).write("check.json")
    for snakemake in jobs().values():
        status, points = attempt(snakemake, None)
        if status:
            print(f"{snakemake.rule} ended in {status}\n{Path(snakemake.log[0]).read_text()}")
            return
        if snakemake.rule == rule:
            break
    expected = {path: content(path) for path in snakemake.output}
    chosen = sorted({*range(0, points, int(stride)), points})
    print(len(chosen), "of", points, flush=True)
    for point in chosen:
        for mistake in mistakes(snakemake, point, expected):
            print(f"{rule}, killed at point {point}: {mistake}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
