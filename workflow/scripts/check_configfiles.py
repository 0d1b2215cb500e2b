"""Run by the profiles before Snakemake reads a configuration: of one that it cannot read, it shows a traceback."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from winnow.config.read import read
from winnow.errors import WinnowError

parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
for path in parser.parse_known_args()[0].configfile:
    try:
        read(path)
    except WinnowError as error:
        sys.exit(f"error: {error}")
