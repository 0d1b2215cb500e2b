"""Projects that a test may change."""

from __future__ import annotations

import pytest

from projects import Project, copy_project


@pytest.fixture
def study(finished, tmp_path) -> Project:
    """A copy of the finished study that a test may change."""
    return finished.copy_to(tmp_path / "a study")


@pytest.fixture
def project(tmp_path) -> Project:
    """The project before anything has run."""
    return copy_project(tmp_path / "a project")
