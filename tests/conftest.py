"""Fixtures of all tests."""

from __future__ import annotations

import fcntl
import gc
import os

# before torch is loaded: threads of several processes on the same cores wait for each other most of the time
os.environ["OMP_NUM_THREADS"] = "1"

import tempfile
from pathlib import Path

# each process of tests counts as a machine of its own: what it times need not wait for the others
tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="winnow-tests-")

import numpy as np
import pytest
from PIL import Image

from exporting import one_registry
from projects import Project, copy_project
from samples import REPOSITORY, colored_squares
from winnow.data.dataset import ImageDataset

TESTS = REPOSITORY / "tests"
# whole studies first, the cluster's before all, and then whole networks: who begins them last is left alone with them
_ORDER = ("slurm", "faults", "workflow", "unit/test_networks", "unit/test_builtin_networks", "unit")


def pytest_collection_modifyitems(items):
    items.sort(key=_place)


def _place(item) -> int:
    path = item.path.relative_to(TESTS).as_posix()
    return next(place for place, beginning in enumerate(_ORDER) if path.startswith(beginning))


def pytest_xdist_auto_num_workers():
    """One more than there are cores: what runs on the cluster mostly waits."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def _rare_collections():
    """Exports make garbage by the million objects, beside as many that stay: looking at all of them takes a sixth."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def _one_registry():
    with pytest.MonkeyPatch.context() as patch:
        one_registry(patch)
        yield


@pytest.fixture
def squares() -> ImageDataset:
    return colored_squares(120, 4)


@pytest.fixture
def image_folder(tmp_path) -> Path:
    """train/ and test/ with two classes of five and two JPEG or PNG images, of differing sizes."""
    root = tmp_path / "my images"
    random = np.random.default_rng(0)
    for split, count in (("train", 5), ("test", 2)):
        for label, level in (("cat", 60), ("dog", 190)):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                shape = (20 + number, 30, 3)
                pixels = np.clip(level + random.normal(0, 10, shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.{'png' if number % 2 else 'jpg'}")
    return root


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The tiny study, complete, made once for all processes of tests. A test that changes it asks for `study`."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    root = folder / "winnow project"
    with (folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            made = copy_project(folder / "unfinished" / str(os.getpid()))
            made.run()
            made.root.rename(root)
    return Project(root)


@pytest.fixture
def study(finished, tmp_path) -> Project:
    """A copy of the finished study that a test may change."""
    return finished.copy_to(tmp_path / "a study")


@pytest.fixture
def project(tmp_path) -> Project:
    """The project before anything has run."""
    return copy_project(tmp_path / "a project")
