"""Slurm jobs that an earlier Snakemake has left behind: they would write where the new one's jobs write."""

from __future__ import annotations

import os
from pathlib import Path

from winnow.cluster.commands import Unanswered, ask
from winnow.errors import WinnowError


def check_orphans(folder: Path, study: str) -> None:
    """Refuse to start while Slurm jobs of this user, folder and study are waiting or running.

    Other studies may run beside this one, and the lock of Snakemake keeps a second run of the same away.

    Args:
        folder: the working directory.
        study: its name begins what `comment_of` says of a job.

    Raises:
        WinnowError: there are some, or Slurm does not answer.
    """
    command = ("squeue", "--noheader", f"--user={os.getuid()}", "--states=PENDING,RUNNING,SUSPENDED,CONFIGURING")
    try:
        lines = ask(*command, "--format=%A|%k|%Z")
    except Unanswered as error:
        raise WinnowError(f"Slurm does not answer here ({error}); run this on a login node of the cluster") from error
    found = {}
    for line in lines:
        number, _, rest = line.partition("|")
        comment, _, place = rest.rpartition("|")
        if comment.startswith(f"{study}: ") and place == str(folder):
            found[number] = comment
    if found:
        shown = "; ".join(f"{number} ({comment})" for number, comment in list(found.items())[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise WinnowError(
            f"{folder}: {len(found)} Slurm jobs of an earlier Snakemake are still there: {shown}{more}. End them: "
            f"scancel {' '.join(found)} -- or wait for them, for what they finish counts: "
            f"srun --dependency=afterany:{':'.join(found)} true"
        )
