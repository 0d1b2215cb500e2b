"""What Slurm says when it does not take a job: whether asking again helps, and in which words to pass it on."""

from __future__ import annotations

import re

_UNANSWERED = re.compile(
    r"unable to contact|unable to connect|connection refused|timed out|zero bytes were transmitted|"
    r"not responding|temporarily un|communication connection failure",
    re.IGNORECASE,
)
_FULL = re.compile(r"\b(?:QOS|Assoc)\w*Submit\w*Limit\b")
_WRONG_FOR_ALL = re.compile(r"\b(?:account|qos|partition)\b", re.IGNORECASE)
_QUOTED = re.compile(r"The error message was '(.*?)'\.\s*\n", re.DOTALL)
_PREFIX = re.compile(r"^(?:sbatch: )?(?:error: )?(?:Batch job submission failed: )?")


def sentence(message: str) -> str:
    """Return what Slurm said, out of what the plugin makes of it: one line, without the command."""
    quoted = _QUOTED.search(message)
    lines = (quoted[1] if quoted else message).splitlines()
    said = [_PREFIX.sub("", line.strip()) for line in lines if line.strip()]
    return "; ".join(dict.fromkeys(said)) or "sbatch failed without a word"


def is_unanswered(said: str) -> bool:
    """Whether nobody knows what has become of the job: Slurm may have taken it and not said so."""
    return _UNANSWERED.search(said) is not None


def is_passing(said: str) -> bool:
    """Whether the same job may be taken later: Slurm is away, or has as many jobs of this user as it may."""
    return is_unanswered(said) or _FULL.search(said) is not None


def concerns_all(said: str) -> bool:
    """Whether no other job with the same account, qos and partition would be taken either."""
    return not is_passing(said) and _WRONG_FOR_ALL.search(said) is not None
