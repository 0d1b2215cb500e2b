"""A report of what a study has got so far, while it runs or after a failure; no Snakemake, no lock.

python workflow/scripts/live.py config/demo.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

from winnow.config.read import read
from winnow.config.resolve import resolve
from winnow.errors import WinnowError
from winnow.report.live import live_report

if __name__ == "__main__":
    try:
        (path,) = sys.argv[1:]
    except ValueError:
        sys.exit("usage: python workflow/scripts/live.py CONFIG.yaml")
    try:
        print(live_report(resolve(read(path)).reported(), Path("results")))
    except WinnowError as error:
        sys.exit(f"error: {error}")
