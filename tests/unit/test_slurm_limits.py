"""What a cluster cannot run is refused in one sentence."""

import pytest

from winnow.errors import WinnowError
from winnow.planning.slurm_limits import Request, check_requests, configured_partitions, partition_memory

MEMORY = {"cpu": 64000, "fat": 500000}


def test_what_fits_passes():
    few = [Request(("train",), 64000, None), Request(("prune",), 100, "fat")]
    check_requests(few, ["cpu"], MEMORY, "partitions.yaml")
    check_requests([Request(("train",), 500000, None)], [], MEMORY, None)


@pytest.mark.parametrize(
    ("request_", "configured", "message"),
    [
        (
            Request(("train",), 1, None),
            ["cpu", "gpu"],
            "partitions.yaml: this cluster has no partition gpu; it has: cpu, ",
        ),
        (Request(("train",), 1, "gpu"), ["cpu"], "rule train asks for partition gpu, which this cluster does not have"),
        (
            Request(("train",), 64001, None),
            ["cpu"],
            "rule train asks for 64001 MB of memory, but the largest node of cpu ",
        ),
        (Request(("prune",), 500001, None), [], "the largest node of cpu, fat has 500000; ask for less"),
        (
            Request(("evaluate", "export"), 64001, None),
            ["cpu"],
            "the group of evaluate, export asks for 64001 MB of memory, but the largest node of cpu has 64000; ask for "
            "less with set-resources in profiles/slurm/config.yaml, or take rules out of its groups",
        ),
        (Request(("prune",), 64001, "cpu"), ["fat"], "the largest node of cpu has 64000"),
    ],
)
def test_what_does_not_fit_is_named(request_, configured, message):
    with pytest.raises(WinnowError) as raised:
        check_requests([request_], configured, MEMORY, "partitions.yaml")
    assert message in str(raised.value)


def test_without_slurm_this_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WinnowError, match="Slurm does not answer here"):
        partition_memory()
    (tmp_path / "sinfo").write_text("#!/bin/sh\necho 'slurm_load_partitions: Unable to contact' >&2\nexit 1\n")
    (tmp_path / "sinfo").chmod(0o755)
    with pytest.raises(WinnowError, match="Unable to contact"):
        partition_memory()


def test_the_largest_node_counts(monkeypatch, tmp_path):
    (tmp_path / "sinfo").write_text("#!/bin/sh\nprintf 'cpu 64000\\ncpu 32000+\\na gpu 128000\\n'\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert partition_memory() == {"cpu": 64000, "a gpu": 128000}


def test_the_profiles_partitions_are_read():
    assert configured_partitions("profiles/slurm/partitions.yaml") == ["cpu", "gpu"]
    assert configured_partitions(None) == []
