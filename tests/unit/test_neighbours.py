"""The load of other programs is that of the machine without our own."""

import subprocess
import sys
import time

import pytest

from winnow.measure import neighbours
from winnow.measure.neighbours import Neighbours


def stat(tmp_path, *ticks: int) -> None:
    (tmp_path / "stat").write_text(f"cpu  {' '.join(map(str, ticks))}\ncpu0 1 2 3\n")


def test_others_are_all_that_works_but_us(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(neighbours, "_own_seconds", iter((10.0, 12.0)).__next__)
    monkeypatch.setattr(neighbours.time, "monotonic", iter((0.0, 4.0)).__next__)
    monkeypatch.setattr(neighbours.os, "sysconf", lambda _: 100)
    stat(tmp_path, 1000, 0, 0, 50, 60, 0, 0, 0, 9, 9)
    load = Neighbours()
    stat(tmp_path, 1500, 100, 150, 5000, 6000, 20, 20, 10, 99, 99)  # 8 s of work, idle and guests do not count
    assert load.cores() == pytest.approx((8 - 2) / 4)


@pytest.mark.parametrize("text", ["", "cpu a b\n", None])
def test_a_system_that_does_not_tell_is_no_error(tmp_path, monkeypatch, text):
    monkeypatch.setattr(neighbours, "_STAT", tmp_path / "stat")
    if text is not None:
        (tmp_path / "stat").write_text(text)
    assert Neighbours().cores() is None


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_a_busy_program_is_seen():
    load = Neighbours()
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(1)
        assert load.cores() > 0.3
    finally:
        other.kill()
        other.wait()
