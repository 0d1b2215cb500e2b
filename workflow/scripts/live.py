"""A report of what a study has got so far, while it runs or after a failure; no Snakemake, no lock.

python workflow/scripts/live.py config/demo.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from winnow.config.resolve import resolve
from winnow.errors import WinnowError
from winnow.report.live import live_report

if __name__ == "__main__":
    try:
        config = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
        print(live_report(resolve(config).reported(), Path("results")))
    except IndexError:
        sys.exit("usage: python workflow/scripts/live.py CONFIG.yaml")
    except (WinnowError, OSError, yaml.YAMLError) as error:
        sys.exit(f"error: {error}")
