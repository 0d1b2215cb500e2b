"""What the three scripts that train share: which run it is, and where it leaves what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from adapter import Snakemake, beside, parameters
from winnow.files import remove_remains
from winnow.study.training_state import STATE
from winnow.train.loop import Job
from winnow.train.resume import resume_file


def training_job(
    snakemake: Snakemake,
    label: str,
    inputs: Iterable[str],
    snapshots: Mapping[int, Path] | None = None,
    first_epoch: int = 0,
) -> Job:
    """Describe the training run of a rule, whose state is kept beside its history.

    Args:
        inputs: files that the run is a function of, beside the parameters of the rule and the seed.
        snapshots, first_epoch: see `Job`.
    """
    history, seed = snakemake.output.history, int(snakemake.wildcards.seed)
    state = beside(history, STATE)
    remove_remains(state)
    return Job(
        label=label,
        seed=seed,
        resume=resume_file(state, parameters(snakemake), inputs, seed),
        history=Path(history),
        snapshots=snapshots or {},
        tdp_watts=snakemake.params.tdp_watts,
        first_epoch=first_epoch,
    )
