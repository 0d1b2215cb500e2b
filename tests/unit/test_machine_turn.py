"""Timings are alone on a machine, whatever else of Winnow wants to compute there."""

import multiprocessing
import time
from types import SimpleNamespace

import psutil
import pytest

from winnow.machine_turn import turn
from winnow.measure.neighbours import Neighbours

SPAWN = multiprocessing.get_context("spawn")


def hold(folder, alone, patience, begun, end):
    with turn(alone=alone, folder=folder, patience=patience):
        begun.set()
        end.wait(60)


class Job:
    """A process that wants the machine, and keeps it until it is told to end."""

    def __init__(self, folder, *, alone, patience):
        self.begun, self._end = SPAWN.Event(), SPAWN.Event()
        arguments = (folder, alone, patience, self.begun, self._end)
        self._process = SPAWN.Process(target=hold, args=arguments, daemon=True)
        self._process.start()

    def begins(self, seconds=60):
        return self.begun.wait(seconds)

    def end(self):
        self._end.set()
        self._process.join()

    def kill(self):
        self._process.kill()
        self._process.join()


@pytest.fixture
def jobs(tmp_path):
    """A function that starts a job."""
    started = []

    def start(*, alone, patience=60.0):
        started.append(Job(tmp_path, alone=alone, patience=patience))
        return started[-1]

    yield start
    for job in started:
        job.kill()


def test_who_is_timed_waits_for_others_and_keeps_those_who_come_later_waiting(jobs):
    first, second = jobs(alone=False), jobs(alone=False)
    assert first.begins()
    assert second.begins()  # side by side
    timed = jobs(alone=True)
    assert not timed.begins(3)
    first.end()
    second.kill()  # however it ends
    assert timed.begins()
    later = jobs(alone=False)
    assert not later.begins(3)
    timed.end()
    assert later.begins()


def test_a_timing_does_not_wait_for_ever_nor_stop_who_comes_meanwhile(jobs):
    training = jobs(alone=False)
    assert training.begins()
    timed = jobs(alone=True, patience=6.0)
    assert jobs(alone=False).begins()
    assert timed.begins()
    assert jobs(alone=False).begins()


def test_two_timings_take_turns(jobs):
    one = jobs(alone=True)
    assert one.begins()
    other = jobs(alone=True)
    assert not other.begins(3)
    one.end()
    assert other.begins()


def test_going_ahead_beside_others_is_said(tmp_path, caplog):
    with turn(alone=False, folder=tmp_path), turn(alone=True, folder=tmp_path, patience=0.1):
        assert "timed beside them" in caplog.text


def test_without_locks_nobody_waits(tmp_path, caplog):
    folder = tmp_path / "missing"
    with turn(alone=True, folder=folder), turn(alone=True, folder=folder):
        assert "nothing keeps jobs from computing beside a timing" in caplog.text


def test_the_load_of_others_is_seen_and_ones_own_is_not(monkeypatch):
    def three_cores_busy():
        own = psutil.Process().cpu_times()
        return SimpleNamespace(user=own.user, system=own.system, steal=3 * time.perf_counter(), idle=1e6)

    monkeypatch.setattr(psutil, "cpu_times", three_cores_busy)
    neighbours = Neighbours()
    end = time.perf_counter() + 0.5
    while time.perf_counter() < end:
        pass
    assert neighbours.busy_cores() == pytest.approx(3, abs=0.1)
