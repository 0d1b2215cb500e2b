"""What only some machines have: a test that lacks it is skipped, but fails where nothing may be skipped."""

from __future__ import annotations

import os

import pytest

STRICT = "WINNOW_REQUIRE_ALL"
"""Set to 1, as continuous integration does, nothing is skipped."""


def lacking(reason: str) -> None:
    """End a test, or what it asks for, because this machine lacks something.

    Args:
        reason: what is missing, and how to get it.
    """
    if os.environ.get(STRICT) == "1":
        pytest.fail(f"{reason} ({STRICT}=1: nothing is skipped)", pytrace=False)
    pytest.skip(reason)
