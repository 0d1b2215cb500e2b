"""plan: a configuration -> what the study would take, before anything runs. See `make plan`."""

import argparse
import logging
import math
import sys

from snakemake.cli import args_to_api, parse_args

from winnow.cluster.limits import partitions
from winnow.config.read import read
from winnow.config.runnable import runnable
from winnow.errors import WinnowError
from winnow.planning.costs import ASSUMED_IMAGES_PER_SECOND, Costs
from winnow.planning.dry_run import Plan, Recorder, read_events
from winnow.planning.estimate import plan_text


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimate a study: jobs, hours, disk and wall time.")
    parser.add_argument("targets", nargs="*", help="files or rules to make; everything by default")
    parser.add_argument("--configfile", default="config/config.yaml")
    parser.add_argument("--profile", default="profiles/local")
    parser.add_argument("--slots", type=int, default=1, help="jobs at a time: GPUs, nodes, or 1 for this machine")
    parser.add_argument("--images-per-second", type=float, default=ASSUMED_IMAGES_PER_SECOND)
    parser.add_argument("--node-cores", type=int, help="where a job asks for a whole one; sinfo's largest")
    arguments = parser.parse_args()
    if arguments.slots < 1 or not 0 < arguments.images_per_second < math.inf:
        parser.error("--slots and --images-per-second must be positive")
    if arguments.node_cores is not None and arguments.node_cores < 1:
        parser.error("--node-cores must be positive")
    try:
        study = runnable(read(arguments.configfile))
        plan = dry_run(arguments)
        cores = arguments.node_cores or (cores_of_a_node() if any(job.whole_node for job in plan.jobs) else None)
        costs = Costs(study, images_per_second=arguments.images_per_second, node_cores=cores)
        sys.stdout.write(plan_text(plan, costs, arguments.slots))
    except WinnowError as error:
        sys.exit(f"error: {error}")


def cores_of_a_node() -> int | None:
    """Return those of the largest node of this cluster; nothing where there is none, or it does not answer."""
    try:
        return max((nodes.cpus for partition in partitions().values() for nodes in partition.nodes), default=None)
    except WinnowError:
        return None


def dry_run(arguments: argparse.Namespace) -> Plan:
    """Plan as `snakemake -n` does, in this process; if that fails, its words are the answer."""
    recorder, log = Recorder(), logging.getLogger("snakemake.logging")
    options = ["--profile", arguments.profile, "--configfile", arguments.configfile, "--nolock"]
    parser, parsed = parse_args([*arguments.targets, "-n", *options])
    if parsed.executor not in (None, "local"):
        parsed.cores = sys.maxsize  # a dry run has one core unless told, and would cut the threads of every job to it
    log.addFilter(recorder)
    try:
        if not args_to_api(parsed, parser):
            sys.exit(1)
    finally:
        log.removeFilter(recorder)
    return read_events(recorder.events)


if __name__ == "__main__":
    main()
