"""Questions to Slurm by its own commands."""

from __future__ import annotations

import re
import subprocess

from winnow.errors import WinnowError

_PATIENCE = 60  # seconds


class Unanswered(WinnowError):
    """Slurm did not answer; the message is what its command said."""


def ask(*command: str) -> list[str]:
    """Return the lines that a command prints.

    Raises:
        Unanswered: there is no such command, it failed, or it took more than a minute.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or "").strip() or str(error)
        raise Unanswered(said.splitlines()[0]) from error
    return done.stdout.splitlines()


def ending_without_log(number: str, log: object) -> str:
    """Return what became of a job that left no log, as Slurm tells it."""
    told = ""
    try:
        shown = " ".join(ask("scontrol", "show", "job", "--oneliner", number))
        names = ("JobState", "Reason", "ExitCode", "NodeList")
        found = {name: match[1] for name in names if (match := re.search(rf"\b{name}=(\S+)", shown))}
        told = " as {JobState}, Reason={Reason}, ExitCode={ExitCode} on {NodeList}".format_map(found)
    except (Unanswered, KeyError):
        pass
    return f"Slurm job {number} ended{told}, and left no log: is there space for {log}, and may you write there?"
