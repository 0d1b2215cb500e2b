"""What every script does around its one library call: lock, log, name the run, end with one line on an error.

The first part begins when a script imports this module, before heavy libraries are loaded: so a job that dies while
they are has a log too. Meanwhile nothing is collected: half a million objects of torch are made, to stay.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from winnow.ancestor import end_with
from winnow.errors import Interrupted, WinnowError, is_final, is_out_of_memory
from winnow.files import remove_remains
from winnow.machine_turn import turn
from winnow.refusal import allow, refuse
from winnow.sole_writer import SoleWriter
from winnow.study.identity import Identity
from winnow.study.training_state import discard_state_of


class Named(Protocol):
    """What a rule gives names to: files, parameters, wildcards. Of which type each is, the rule alone says."""

    def __getattr__(self, name: str) -> Any: ...
    def __iter__(self) -> Iterator[str]: ...
    def items(self) -> Iterable[tuple[str, Any]]: ...


class Snakemake(Protocol):
    """The job, as Snakemake describes it to a script: the global variable `snakemake`."""

    input: Named
    output: Named
    params: Named
    wildcards: Named
    log: Sequence[str]
    threads: int
    rule: str


@contextmanager
def job(snakemake: Snakemake, *, alone: bool = False) -> Iterator[str]:
    """Yield the name of the run; log to the rule's log and to stderr; use the threads the rule was given.

    Args:
        alone: no other job of Winnow may compute on this machine meanwhile, of whatever study.
    """
    _log_to(snakemake.log[0], "a")  # again: a library may have installed handlers of its own while it was imported
    for noisy in ("zeus", "torch", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    os.environ.setdefault("TQDM_MININTERVAL", "1")
    _limit_threads(snakemake.threads)
    _collect_again()
    try:
        with turn(alone=alone):
            yield run_name(snakemake.wildcards)
    except Interrupted as interruption:
        logging.getLogger("winnow").warning("%s", interruption)
        sys.exit(128 + signal.SIGTERM)
    except Exception as error:  # ours, of a library, or of a user's network
        _explain(snakemake, error)
        sys.exit(1)


def _begin(snakemake: Snakemake) -> None:
    """Claim the files of a job, begin its log and clear up after earlier attempts; end with Snakemake."""
    sys.excepthook = lambda kind, error, trace: _end(snakemake, kind, error, trace)
    outputs = list(snakemake.output)
    writer = None
    try:
        writer = SoleWriter(outputs[0])
        atexit.register(writer.release)
    finally:
        _log_to(snakemake.log[0], "w" if writer else "a")  # the log of another writer stays
    allow(snakemake.log[0])
    end_with("snakemake")
    if writer.held:
        for path in outputs:
            remove_remains(path)
    for path in snakemake.input:
        discard_state_of(path)


def _end(snakemake: Snakemake, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say why a job has ended before it began."""
    if isinstance(error, Exception):
        _explain(snakemake, error)
    else:
        sys.__excepthook__(kind, error, trace)


def _explain(snakemake: Snakemake, error: Exception) -> None:
    """Log an error as lines that name the run; the traceback too, if it is one nobody foresaw."""
    log, run, rule = logging.getLogger("winnow"), run_name(snakemake.wildcards), snakemake.rule
    if is_out_of_memory(error):
        advice = f"give it more (set-resources in the profile: mem_mb of {rule}), or use smaller batches or images"
        log.error("error: %s: %s ran out of memory; %s", run, rule, advice)
    elif isinstance(error, WinnowError):
        for line in str(error).splitlines():  # what knows no run, as the capture of a graph, has it named here
            log.error("error: %s", line if run in line else f"{run}: {line}")
    else:
        log.error("%s failed", rule, exc_info=error)
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        log.error("error: %s: %s failed (%s); the log has the traceback", run, rule, cause)
    if is_final(error):
        refuse(snakemake.log[0], "; ".join(str(error).splitlines()))


def _log_to(path: str, mode: str) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode=mode))
    finally:  # a log that cannot be written is said on the terminal
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True
        )


def run_name(wildcards: Named) -> str:
    """Return e.g. `cifar10/resnet18/seed0/dense/ptq`: the run's place below results/<study>/."""
    values = dict(wildcards.items())
    seed = [f"seed{values['seed']}"] if "seed" in values else []
    pruned = [values["pruning"], f"round{values['round']}"] if "pruning" in values else []
    parts = [values.get("dataset"), values.get("model"), *seed, *pruned, values.get("run"), values.get("recipe")]
    return "/".join(part for part in parts if part) or "study"


def identity(snakemake: Snakemake, precision: str) -> Identity:
    """Return which network of the study a job is about; the precision is that of its recipe."""
    wildcards = snakemake.wildcards
    return Identity(
        dataset=wildcards.dataset,
        model=wildcards.model,
        seed=int(wildcards.seed),
        run=wildcards.run,
        recipe=wildcards.recipe,
        precision=precision,
    )


def parameters(snakemake: Snakemake) -> dict[str, Any]:
    """Return the rule's parameters by name; they include the digest of the code."""
    return dict(snakemake.params.items())


def beside(output: str, name: str) -> Path:
    """Return an undeclared file in the folder of an output: Snakemake neither deletes nor requires it."""
    return Path(output).parent / name


def _collect_again() -> None:
    """Collect what the job itself makes; what is loaded by now is looked at no more, not even at the end."""
    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)


def _limit_threads(threads: int) -> None:
    if "torch" in sys.modules:  # loaded by now, if the script needs it
        sys.modules["torch"].set_num_threads(threads)


if hasattr(sys.modules["__main__"], "snakemake"):  # in a script that Snakemake has started
    gc.disable()
    _begin(sys.modules["__main__"].snakemake)
