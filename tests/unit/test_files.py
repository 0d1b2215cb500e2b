"""Files that are whole or absent, and which code a stage depends on."""

import errno
import os
import subprocess
import sys

import pytest

from samples import REPOSITORY
from winnow.errors import WinnowError
from winnow.files import digest, read_json, replacing, safetensors_metadata, write_json

SCRIPTS = REPOSITORY / "workflow" / "scripts"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "value.json"
    write_json(path, {"a": 1})

    def die_halfway():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die_halfway()
    assert read_json(path) == {"a": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["value.json"]
    assert path.stat().st_mode & 0o444


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "value.json", float("nan"))
    assert not (tmp_path / "value.json").exists()


def test_digests_do_not_depend_on_key_order():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


def test_what_is_no_safetensors_file_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(WinnowError, match=r"a.safetensors: not a safetensors file"):
        safetensors_metadata(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"\(No space left on device\); free some space, then run again"),
        (errno.EROFS, r"\(Read-only file system\); make the folder writable, or choose another"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path, number, words):
    def refused():
        with replacing(tmp_path / "a.json"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(WinnowError, match=rf"/a.json: cannot be written {words}$"):
        refused()
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_read_is_not_what_cannot_be_written(tmp_path):
    def refused():
        with replacing(tmp_path / "a.json"):
            raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/b")

    with pytest.raises(PermissionError):
        refused()


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
import torch
from winnow.errors import WinnowError
from winnow.files import replacing
from winnow.models.weights import save_weights
from winnow.train.resume import ResumeFile
from pathlib import Path
from safetensors.torch import save_file
layer = torch.nn.Linear(500, 500)
def library():
    with replacing("library") as temporary:
        torch.save(layer.state_dict(), temporary)
state = ResumeFile(Path("state"), "k")
for write in (lambda: save_weights("weights", layer), lambda: state.save(layer.state_dict()), library):
    try:
        write()
    except WinnowError as error:
        print(error)
"""


def test_a_limit_that_a_library_meets_is_told_apart(tmp_path):
    """The library's own words are of zip files and positions."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", LIMITED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    advice = "cannot be written (File too large); raise the limit of file sizes (ulimit -f), then run again"
    assert done.stdout.splitlines() == [f"{name}: {advice}" for name in ("weights", "state", "library")]
    assert not list(tmp_path.iterdir())
