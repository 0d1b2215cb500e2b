"""From the user's configuration to a study that can run: its code and files are where the configuration says.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

from typing import Any

from winnow.config.imports import check_imports
from winnow.config.resolve import check_own_files, resolve
from winnow.config.study import Study


def runnable(config: Any) -> Study:
    """Return the study that a configuration describes; to look at its results, `resolve` is enough.

    Raises:
        WinnowError: one line for each thing that is wrong or not there.
    """
    study = resolve(config)
    check_imports(study)
    check_own_files(study)
    return study
