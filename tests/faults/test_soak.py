"""A study that is killed again and again, as a whole, by its parent, or job by job, ends as one that never was.

Two kills of all that leads to a pruned network in the normal tests; `make soak` asks for more, of a whole study.
WINNOW_SOAK is their number, WINNOW_SOAK_SEED another series.
"""

import csv
import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
import yaml

from projects import Project, copy_project
from winnow.config.resolve import resolve
from winnow.study.artifacts import networks

KILLS = int(os.environ.get("WINNOW_SOAK", 2))
SEED = int(os.environ.get("WINNOW_SOAK_SEED", 0))
LATEST = 25.0  # seconds after the start of a run; most of a run lies before
HOW = ("whole", "parent", "script")
PRUNING = {"structure": ["channels"], "ratio": [0.5], "rounds": [1], "rewind": ["init"]}


def configured(project: Project) -> None:
    project.configure(training={"epochs": 30}, pruning=PRUNING, quantization={"qat": {"epochs": 10}})


def last_network(project: Project) -> str:
    """Return the folder of the last pruned network."""
    study = resolve(yaml.safe_load((project.root / project.config).read_text())).reported()
    return [f"results/{study['study']}/{network.training}" for network in networks(study)][-1]


def scripts_below(process: int) -> list[int]:
    """Return the jobs' processes, descendants of Snakemake."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        parents[int(path.name)] = int(status[1]), any("/.snakemake/scripts/" in part for part in command[1:2])

    def below(child: int) -> bool:
        while child in parents:
            child = parents[child][0]
            if child == process:
                return True
        return False

    return [child for child, (_, script) in parents.items() if script and below(child)]


def kill(process, how: str, choose: random.Random) -> str:
    """Kill a running study, and say what was killed; `parent` leaves its jobs to themselves."""
    sent = choose.choice((signal.SIGKILL, signal.SIGTERM))
    victims = scripts_below(process.pid)
    if how == "script" and victims:
        os.kill(choose.choice(victims), sent)
    elif how == "parent":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    return f"{how}, {sent.name if how == 'script' else 'SIGKILL'}"


def outcome(project: Project) -> dict[str, object]:
    """Return the files that are a function of the configuration alone, without what is a matter of time."""
    found: dict[str, object] = {}
    for path in sorted((project.root / "results").rglob("*")):
        name = path.relative_to(project.root).as_posix()
        if path.suffix in (".safetensors", ".onnx") and "/best/" not in name:
            found[name] = path.read_bytes()
        elif path.name == "history.csv" and path.parent.name != "tiny":
            rows = csv.DictReader(path.read_text().splitlines())
            found[name] = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]
        elif path.name in ("quality.json", "sparsity.json"):
            found[name] = {k: v for k, v in json.loads(path.read_text()).items() if k != "training"}
    return found


@pytest.mark.timeout(1500 + 120 * KILLS)
def test_a_study_that_is_killed_again_and_again_ends_as_one_that_never_was(tmp_path):
    whole, killed = (copy_project(tmp_path / name) for name in ("whole", "killed"))
    for project in (whole, killed):
        configured(project)
    part = [] if "WINNOW_SOAK" in os.environ else [f"{last_network(whole)}/fp32/quality.json"]
    whole.run(*part)
    choose, kills = random.Random(SEED), []
    while len(kills) < KILLS:
        process = killed.start(*part)
        deadline = time.monotonic() + choose.uniform(0.5, LATEST)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is None:
            how = kill(process, HOW[len(kills) % len(HOW)], choose)
            process.wait()
            kills.append(how)
        else:  # it has ended, and begins anew with another training
            killed.run("--delete-all-output")
        output = killed.output.read_text()
        assert "is being written by" not in output, (kills, output[-3000:])
        assert not re.search(r"discarding .*weights\.resume", output), (kills, output[-3000:])
        killed.run("--unlock")
    killed.run(*part)
    assert outcome(killed) == outcome(whole), kills
    left = [path.name for path in (killed.root / "results").rglob("*") if path.suffix in (".resume", ".lock")]
    left += [path.name for path in (killed.root / "results").rglob(".*")]
    assert set(left) <= {".snakemake_timestamp"}  # in a folder that is an output
