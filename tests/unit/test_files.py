"""Files that are whole or absent, and which code a stage depends on."""

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
