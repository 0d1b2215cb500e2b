"""What every script does around its one library call: log, name the run, end with one line on an error."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from winnow.errors import Interrupted, WinnowError
from winnow.study.record import Identity

logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # torchao's remark while it is imported


@contextmanager
def job(snakemake: Any) -> Iterator[str]:
    """Yield the name of the run; log to the rule's log and to stderr; use the threads the rule was given."""
    handlers: list[logging.Handler] = [logging.FileHandler(snakemake.log[0], mode="w"), logging.StreamHandler()]
    logging.basicConfig(  # force: a library may have installed handlers of its own while it was imported
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers, force=True
    )
    for noisy in ("zeus", "torch", "torchao", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    os.environ.setdefault("TQDM_MININTERVAL", "1")
    _limit_threads(snakemake.threads)
    log, run = logging.getLogger("winnow"), run_name(snakemake.wildcards)
    try:
        yield run
    except WinnowError as error:
        for line in str(error).splitlines():  # what knows no run, as the capture of a graph, has it named here
            log.error("error: %s", line if run in line else f"{run}: {line}")
        sys.exit(1)
    except Interrupted as interruption:
        log.warning("%s", interruption)
        sys.exit(128 + signal.SIGTERM)
    except Exception as error:  # of a library, or of a user's network
        log.exception("%s failed", snakemake.rule)
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        log.error("error: %s: %s failed (%s); the log has the traceback", run, snakemake.rule, cause)
        sys.exit(1)


def run_name(wildcards: Any) -> str:
    """Return e.g. `cifar10/resnet18/seed0/dense/ptq`: the run's place below results/<study>/."""
    values = dict(wildcards.items())
    seed = [f"seed{values['seed']}"] if "seed" in values else []
    pruned = [values["pruning"], f"round{values['round']}"] if "pruning" in values else []
    parts = [values.get("dataset"), values.get("model"), *seed, *pruned, values.get("run"), values.get("precision")]
    return "/".join(part for part in parts if part) or "study"


def identity(snakemake: Any) -> Identity:
    """Return which network of the study a job is about."""
    wildcards = snakemake.wildcards
    return Identity(
        dataset=wildcards.dataset,
        model=wildcards.model,
        seed=int(wildcards.seed),
        run=wildcards.run,
        precision=wildcards.precision,
    )


def parameters(snakemake: Any) -> dict[str, Any]:
    """Return the rule's parameters by name; they include the digest of the code."""
    return dict(snakemake.params.items())


def beside(output: str, name: str) -> Path:
    """Return an undeclared file in the folder of an output: Snakemake neither deletes nor requires it."""
    return Path(output).parent / name


def _limit_threads(threads: int) -> None:
    if "torch" in sys.modules:  # loaded by now, if the script needs it
        sys.modules["torch"].set_num_threads(threads)
