"""Slurm jobs that an earlier Snakemake has left behind: they would write where the new one's jobs write."""

from __future__ import annotations

import os
import re
from pathlib import Path

from winnow.cluster.commands import Unanswered, ask
from winnow.errors import WinnowError

# the plugin calls all jobs of a Snakemake by one name, which ends in a UUID
_NAME = re.compile(r"(?:^|_)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def check_orphans(folder: Path) -> None:
    """Refuse to start while Slurm jobs of this user and folder are waiting or running.

    Args:
        folder: the working directory.

    Raises:
        WinnowError: there are some, or Slurm does not answer.
    """
    command = ("squeue", "--noheader", f"--user={os.getuid()}", "--states=PENDING,RUNNING,SUSPENDED,CONFIGURING")
    try:
        lines = ask(*command, "--format=%A|%j|%k|%Z")
    except Unanswered as error:
        raise WinnowError(f"Slurm does not answer here ({error}); run this on a login node of the cluster") from error
    found = {}
    for line in lines:
        number, name, rest = line.split("|", 2)
        comment, _, place = rest.rpartition("|")
        if _NAME.search(name) and place == str(folder):
            found[number] = comment
    if found:
        shown = "; ".join(f"{number} ({comment})" for number, comment in list(found.items())[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise WinnowError(
            f"{folder}: {len(found)} Slurm jobs of an earlier Snakemake are still there: {shown}{more}. End them: "
            f"scancel {' '.join(found)} -- or wait for them, for what they finish counts: "
            f"srun --dependency=afterany:{':'.join(found)} true"
        )
