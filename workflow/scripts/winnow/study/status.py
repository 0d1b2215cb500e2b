"""What a study has not got yet: networks that were not evaluated, and jobs that failed, with their last words."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.refusal import REFUSED, refusal
from winnow.study.artifacts import Network, networks
from winnow.study.recipes import simulated
from winnow.study.vocabulary import DENSE, FP32, IMPORTED, INITIAL, PRECISIONS

FAILED, STARTED, WAITING = "failed", "training", "not made yet"
_ERROR = re.compile(r"^(?:\d\d:\d\d:\d\d )?(error: .*|\w[\w.]*(?:Error|Exception|Interrupt)\b.*)$")
_WRITES = {
    "import_network": f"{IMPORTED}.safetensors",
    "import_initial": f"{INITIAL}.safetensors",
    "check_network": "check.json",
    "train": "dense/weights.safetensors",
    "tune": "dense/weights.safetensors",
    "prune": "masks.safetensors",
    "retrain": "weights.safetensors",
}
_WRITES |= {"export": f"{FP32}/model.onnx", "evaluate": "quality.json", "benchmark": "speed.json"}
_WRITES |= {"time_layers": "layer_times.json"}
_WRITES |= {
    "measure_sensitivity": "sensitivity.json",
    "choose_float": "mixed.json",
    "choose_multipliers": "multipliers.json",
}
_WRITES |= {precision.rule: "model.onnx" for precision in PRECISIONS.values() if precision.integers}


@dataclass(frozen=True)
class Failure:
    """A job whose last attempt ended in an error: its rule, its run and the last line of its log that says why."""

    rule: str
    run: str
    error: str

    def __str__(self) -> str:
        return f"{self.rule} of {self.run}: {self.error.removeprefix(f'{self.run}: ')}"

    def stops(self, network: Network) -> bool:
        """Whether a network cannot be made, or scored, because of this."""
        if self.rule in ("measure_sensitivity", "time_layers") or (
            self.rule == "import_initial" and network.run == DENSE
        ):
            return False
        if f"{network.folder}/".startswith(f"{self.run}/"):
            return True
        slug, _, number = self.run.rpartition("/round")
        pruned, _, later = network.training.rpartition("/round")
        rounds = self.rule in ("prune", "retrain") and number.isdigit() and later.isdigit()
        return rounds and slug == pruned and int(later) > int(number)


@dataclass(frozen=True)
class Absent:
    """A network of the study without a full evaluation; state is FAILED, STARTED or WAITING.

    `outdated` says that it was evaluated once, but what it is made from is being made again, or could not be.
    """

    network: Network
    state: str
    reason: str
    outdated: bool = False


def failures(folder: Path) -> list[Failure]:
    """Return the jobs of a study whose last attempt failed.

    Why, says the word that was left for Snakemake, or by it, else the log. A log is begun anew by every attempt, and
    Snakemake deletes what a job writes before and after a failed one: where it exists, the job ended well, whatever is
    said.

    Args:
        folder: results/<study>.
    """
    logs, found = folder / "logs", []
    for place in sorted({path.with_suffix("") for kind in ("*.log", f"*{REFUSED}") for path in logs.rglob(kind)}):
        log = place.with_name(f"{place.name}.log")
        if error := refusal(log) or last_error(log):
            rule, _, run = place.relative_to(logs).as_posix().partition("/")
            if rule not in _WRITES or not (folder / run / _WRITES[rule]).exists():
                found.append(Failure(rule, run, error))
    return found


def last_error(path: Path) -> str | None:
    """Return the last line of a job's log that says why it failed, if one does."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    errors = [match[1].removeprefix("error: ") for line in lines[-40:] if (match := _ERROR.match(line))]
    return errors[-1] if errors else None


def absent(study: Mapping[str, Any], folder: Path) -> list[Absent]:
    """Return the networks that lack quality.json or speed.json, or have outdated ones, in the order of the study.

    Args:
        study: the resolved configuration.
        folder: results/<study>.
    """
    failed, untimed = failures(folder), simulated(study["recipes"])
    found = (_absent(network, folder, failed, timed=network.recipe not in untimed) for network in networks(study))
    return [entry for entry in found if entry]


def _absent(network: Network, folder: Path, failed: list[Failure], *, timed: bool) -> Absent | None:
    wanted = ("quality", "speed") if timed else ("quality",)
    lacking = [name for name in wanted if not (folder / network.folder / f"{name}.json").exists()]
    evaluated = "quality" not in lacking
    if cause := next((failure for failure in failed if failure.stops(network)), None):
        return Absent(network, FAILED, str(cause), outdated=evaluated and cause.rule != "benchmark")
    if (epoch := _epoch(network.history or f"{network.training}/history.csv", folder)) is not None:
        complete = f"epoch {epoch} is complete" if epoch else "no epoch is complete yet"
        return Absent(network, STARTED, complete, outdated=evaluated)
    if evaluated and any(_epoch(history, folder) is not None for history in _ancestors(network)):
        return Absent(network, WAITING, "what it is made from is being trained again", outdated=True)
    what = {"quality": "accuracy", "speed": "latency"}
    words = " and ".join(what[name] for name in lacking)
    return Absent(network, WAITING, f"no {words} yet") if lacking else None


def _ancestors(network: Network) -> Iterator[str]:
    """Yield the histories of the training runs that a network comes from, its own left out."""
    dense = f"{network.dataset}/{network.model}/seed{network.seed}/dense"
    slug, _, number = network.training.rpartition("/round")
    rounds = range(1, int(number) + 1) if slug else ()
    folders = [dense, *(f"{slug}/round{earlier}" for earlier in rounds)]
    yield from (f"{run}/history.csv" for run in folders)


def _epoch(history: str, folder: Path) -> int | None:
    """Return the last complete epoch of a training run that has begun but not ended."""
    path = folder / history
    if not path.exists() or (path.parent / "training.json").exists():
        return None
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    return int(rows[-1]["epoch"]) if rows else 0
