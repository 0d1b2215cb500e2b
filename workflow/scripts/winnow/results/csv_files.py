"""results.csv and its siblings on disk."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from winnow.errors import WinnowError
from winnow.files import replacing
from winnow.study.vocabulary import KEYS

_NAMES = ("dataset", "model", "run", "layer", "true_class", "predicted_class")
"""Columns that users fill with names: 18, 1e3, true and inf are text."""


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g")


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read results.csv.

    Raises:
        WinnowError: it is no such table.
    """
    try:
        # "none" is a value of axes
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(_NAMES, "str"))
    except (OSError, ValueError) as error:
        raise WinnowError(f"{path}: not readable as CSV ({error}); delete it and run again") from error
    if missing := [key for key in KEYS if key not in table]:
        raise WinnowError(f"{path}: lacks the columns {', '.join(missing)}; delete it and run again")
    return table
