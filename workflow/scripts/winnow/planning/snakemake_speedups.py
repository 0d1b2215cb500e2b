"""A large study is planned faster when what Snakemake does again for every job is done once.

Nothing here changes a plan; benchmarks/planning.py measures what it saves.
"""

from __future__ import annotations

import atexit
import functools
import gc
import inspect
from collections.abc import Callable
from typing import Any

from snakemake import common, io, jobs, rules
from snakemake.io import contains_wildcard
from snakemake.io.fmt import fmt_iofile
from snakemake.resources import Resource
from snakemake.sourcecache import SourceCache

_FUNCTIONS = 1000  # more than a workflow has


def speed_up(sources: SourceCache) -> None:
    """Prepare this Snakemake process, whose scripts are read through `sources`, for many jobs."""
    from snakemake import dag  # heavy; in such a process it is loaded

    # A plan is millions of objects, most of them kept until the end: looking through them seldom is enough, and
    # taking them apart one by one at the exit helps nobody.
    gc.set_threshold(200_000, 50, 100)
    atexit.register(gc.freeze)
    # asked for several times for every resource of a job; making it anew is slow
    Resource.evaluate.__signature__ = inspect.signature(Resource.evaluate)
    # The parameters of the same few functions, looked at ten times for every job.
    parameters = functools.lru_cache(_FUNCTIONS)(inspect.unwrap(common.get_function_params))
    for home in (common, jobs, rules):
        home.get_function_params = parameters
    # The same few scripts, looked up three times for every job. Not a public name: without it, planning is slower.
    if entry := getattr(sources, "_cache_entry", None):
        sources._cache_entry = functools.cache(entry)
    # The environment and the script of a job are those of its rule. Asked of each job, they ask for its parameters,
    # which a job that never ran needs for nothing else in a plan.
    jobs.Job.conda_env_spec = property(_environment)
    dag.ScriptProcessor.process_job = _once_for_each_rule(inspect.unwrap(dag.ScriptProcessor.process_job))
    # most files have no flags, and are asked for them two hundred times
    jobs.fmt_iofile = _plain_name
    for home in (io, dag, jobs, rules):
        home.is_flagged = _is_flagged


def _environment(job: Any) -> Any:
    """The environment of a job, without its parameters where they cannot matter."""
    parameters = () if _is_fixed(job.rule.conda_env) else (job.params, job.input)
    return job.rule.expand_conda_env(job.wildcards_dict, *parameters)


def _once_for_each_rule(process: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Check the script of a rule with its first job, if all its jobs run the same."""
    checked = set()

    @functools.wraps(process)
    def process_job(processor: Any, job: Any) -> None:
        if job.rule not in checked:
            process(processor, job)
        if _is_fixed(getattr(job.rule, processor.script_type)):
            checked.add(job.rule)

    return process_job


def _is_fixed(path: Any) -> bool:
    """Whether a path is the same for all jobs of a rule."""
    return not callable(path) and not contains_wildcard(str(path))


def _plain_name(file: Any, as_input: bool = False, as_output: bool = False) -> str:
    """Do what Snakemake's fmt_iofile does, which asks for each flag in turn."""
    return fmt_iofile(file, as_input, as_output) if getattr(file, "flags", True) else str(file)


def _is_flagged(value: Any, flag: str) -> bool:
    """Do what Snakemake's is_flagged does, which first asks an abstract class whether a value could have flags."""
    flags = getattr(value, "flags", None)
    return bool(flags and flags.get(flag))
