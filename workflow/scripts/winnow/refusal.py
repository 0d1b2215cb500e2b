"""An error that no further attempt would mend, in a file beside the log of its job: Snakemake reads it and stops."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)
REFUSED = ".refused"


def refuse(job_log: str | Path, error: str) -> None:
    """Leave word that the job with this log has ended for good; where that cannot be written, it is tried again."""
    try:
        _marker(job_log).parent.mkdir(parents=True, exist_ok=True)  # a job that never began has no folder yet
        _marker(job_log).write_text(error, encoding="utf-8")
    except OSError as failure:
        log.warning("%s: cannot be written (%s)", _marker(job_log), failure.strerror)


def refusal(job_log: str | Path) -> str | None:
    """Return why the last attempt of the job with this log was its last; None if another one may help."""
    try:
        return _marker(job_log).read_text(encoding="utf-8") or None
    except OSError:
        return None


def allow(job_log: str | Path) -> None:
    """Begin anew: the job with this log is attempted again."""
    _marker(job_log).unlink(missing_ok=True)


def allow_all(logs: Path) -> None:
    """Begin anew with every job of a study: whoever starts it again has mended something, or says so."""
    for marker in logs.rglob(f"*{REFUSED}"):
        marker.unlink(missing_ok=True)


def _marker(job_log: str | Path) -> Path:
    return Path(job_log).with_suffix(REFUSED)
