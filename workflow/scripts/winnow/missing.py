"""What a study has not got yet: networks that were not evaluated, and jobs that failed, with their last words."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.networks import Network, networks

FAILED, STARTED, WAITING = "failed", "training", "not made yet"
_ERROR = re.compile(r"^(?:\d\d:\d\d:\d\d )?(error: .*|\w[\w.]*(?:Error|Exception|Interrupt)\b.*)$")
_MAKES = {"quantize_dynamic": "dynamic", "calibrate": "ptq", "train_quantized": "qat"}


@dataclass(frozen=True)
class Failure:
    """A job whose last attempt ended in an error: its rule, its run and the last line of its log that says why."""

    rule: str
    run: str
    error: str

    def stops(self, network: Network) -> bool:
        """Whether a network cannot be made, or scored, because of this."""
        if self.rule in _MAKES and network.precision != _MAKES[self.rule]:
            return False
        if f"{network.folder}/".startswith(f"{self.run}/"):
            return True
        slug, _, number = self.run.rpartition("/round")
        pruned, _, later = network.training.rpartition("/round")
        rounds = self.rule in ("prune", "retrain") and number.isdigit() and later.isdigit()
        return rounds and slug == pruned and int(later) > int(number)


@dataclass(frozen=True)
class Absent:
    """A network of the study without a full evaluation; state is FAILED, STARTED or WAITING."""

    network: Network
    state: str
    reason: str


def failures(folder: Path) -> list[Failure]:
    """Return the jobs of a study whose last attempt failed. A log is begun anew by every attempt.

    Args:
        folder: results/<study>.
    """
    found = []
    for path in sorted((folder / "logs").rglob("*.log")):
        if error := _last_error(path):
            rule, _, run = path.relative_to(folder / "logs").with_suffix("").as_posix().partition("/")
            found.append(Failure(rule, run, error))
    return found


def _last_error(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    errors = [match[1].removeprefix("error: ") for line in lines[-40:] if (match := _ERROR.match(line))]
    return errors[-1] if errors else None


def absent(study: Mapping[str, Any], folder: Path) -> list[Absent]:
    """Return the networks that lack quality.json or speed.json, in the order of the study.

    Args:
        study: the resolved configuration.
        folder: results/<study>.
    """
    failed = failures(folder)
    return list(_absent(study, folder, failed))


def _absent(study: Mapping[str, Any], folder: Path, failed: list[Failure]) -> Iterator[Absent]:
    for network in networks(study):
        lacking = [name for name in ("quality", "speed") if not (folder / network.folder / f"{name}.json").exists()]
        if not lacking:
            continue
        cause = next((failure for failure in failed if failure.stops(network)), None)
        if cause:
            yield Absent(network, FAILED, f"{cause.rule} of {cause.run}: {cause.error}")
        elif (epoch := _epoch(network, folder)) is not None:
            yield Absent(network, STARTED, f"epoch {epoch} is complete")
        else:
            what = {"quality": "accuracy", "speed": "latency"}
            yield Absent(network, WAITING, f"no {' and '.join(what[name] for name in lacking)} yet")


def _epoch(network: Network, folder: Path) -> int | None:
    """Return the last complete epoch of a training that has begun but not ended."""
    history = folder / (network.history or f"{network.training}/history.csv")
    if not history.exists() or (history.parent / "training.json").exists():
        return None
    rows = list(csv.DictReader(history.read_text(encoding="utf-8").splitlines()))
    return int(rows[-1]["epoch"]) if rows else 0
