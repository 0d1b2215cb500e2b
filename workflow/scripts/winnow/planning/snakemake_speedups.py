"""A large study is planned faster when what Snakemake does again for every job is done once.

Nothing here changes a plan; benchmarks/planning.py measures what it saves.
"""

from __future__ import annotations

import atexit
import functools
import gc
import inspect

from snakemake import common, jobs, rules
from snakemake.resources import Resource
from snakemake.sourcecache import SourceCache

_FUNCTIONS = 1000  # more than a workflow has


def speed_up(sources: SourceCache) -> None:
    """Prepare this Snakemake process, whose scripts are read through `sources`, for many jobs."""
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
