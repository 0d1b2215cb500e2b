"""plan: a configuration -> what the study would take, before anything runs. See `make plan`."""

import argparse
import math
import subprocess
import sys
from collections.abc import Iterator

from winnow.config.imports import check_imports
from winnow.config.read import read
from winnow.config.resolve import check_own_files, resolve
from winnow.errors import WinnowError
from winnow.planning.costs import ASSUMED_IMAGES_PER_SECOND, Costs
from winnow.planning.dry_run import read_dry_run
from winnow.planning.estimate import plan_text


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimate a study: jobs, hours, disk and wall time.")
    parser.add_argument("targets", nargs="*", help="files or rules to make; everything by default")
    parser.add_argument("--configfile", default="config/config.yaml")
    parser.add_argument("--profile", default="profiles/local")
    parser.add_argument("--slots", type=int, default=1, help="jobs at a time: GPUs, nodes, or 1 for this machine")
    parser.add_argument("--images-per-second", type=float, default=ASSUMED_IMAGES_PER_SECOND)
    arguments = parser.parse_args()
    if arguments.slots < 1 or not 0 < arguments.images_per_second < math.inf:
        parser.error("--slots and --images-per-second must be positive")
    try:
        study = resolve(read(arguments.configfile))
        check_imports(study)
        check_own_files(study)
    except WinnowError as error:
        sys.exit(f"error: {error}")
    plan = read_dry_run(dry_run(arguments))
    sys.stdout.write(plan_text(plan, Costs(study, images_per_second=arguments.images_per_second), arguments.slots))


def dry_run(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of `snakemake -n`; if it fails, its last lines are the answer."""
    options = ["--profile", arguments.profile, "--configfile", arguments.configfile, "--nolock"]
    command = [sys.executable, "-m", "snakemake", *arguments.targets, "-n", *options]
    last: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            last = [*last[-9:], line]
            yield line
    if process.returncode:
        sys.exit("".join(last))


if __name__ == "__main__":
    main()
