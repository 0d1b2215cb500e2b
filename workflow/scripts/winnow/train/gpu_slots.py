"""Which GPU a job takes on a machine without a scheduler: one for each job, shared evenly once all are taken.

Snakemake counts GPUs (`resources: [gpu=4]` in the local profile) but gives a job none in particular. A lock file
marks a GPU as taken; the system frees it when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from winnow.errors import WinnowError

log = logging.getLogger(__name__)
_MOST_JOBS = 64  # on one GPU; more is a mistake
_held: list[IO[str]] = []  # open, and so locked, until the process ends


def claim_gpu(folder: Path | None = None) -> str | None:
    """Take the GPU that the fewest other jobs have, and hide the others from this process.

    Must come before the first CUDA call. A second call changes nothing.

    Args:
        folder: of the lock files; the same for all jobs of a machine. By default one for each user.

    Returns:
        The GPU's number, now in CUDA_VISIBLE_DEVICES, or None where there is nothing to choose: no GPU, or a
        scheduler that has chosen.

    Raises:
        WinnowError: every GPU has 64 jobs, or the folder belongs to somebody else.
    """
    gpus = selectable_gpus()
    if _held or not gpus:
        return None
    folder = folder or Path(tempfile.gettempdir()) / f"winnow-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise WinnowError(f"{folder}: belongs to another user; delete it, or set TMPDIR")
    gpu, lock = _least_taken(folder, gpus)
    _held.append(lock)
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # number GPUs as nvidia-smi and the energy counter do
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    if len(gpus) > 1:
        log.info("using GPU %s of %s", gpu, ", ".join(gpus))
    return gpu


def selectable_gpus() -> list[str]:
    """Return the numbers of the GPUs this job may choose from.

    None in a job of Slurm, which has chosen; those in CUDA_VISIBLE_DEVICES where the user has set it.
    """
    if "SLURM_JOB_ID" in os.environ:
        return []
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [gpu for gpu in os.environ["CUDA_VISIBLE_DEVICES"].replace(" ", "").split(",") if gpu]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return output.split()


def _least_taken(folder: Path, gpus: Sequence[str]) -> tuple[str, IO[str]]:
    """Lock a place on a GPU: the first on each GPU, then the second on each, and so on."""
    for place in range(_MOST_JOBS):
        for gpu in gpus:
            file = (folder / f"{gpu.replace('/', '_')}-{place}.lock").open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return gpu, file
    raise WinnowError(f"{folder}: every GPU has {_MOST_JOBS} jobs; lower gpu in the profile's resources")
