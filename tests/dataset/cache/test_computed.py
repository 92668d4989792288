"""Arrays that are computed once: by one process each, side by side with others."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dataset.cache.arrays import cached
from dataset.cache.computed import computed
from dataset.cache.store import ArrayInfo, NoRoom, sweep

ARRAY = np.arange(6.0).reshape(2, 3)


def info(key: str = "a") -> ArrayInfo:
    return ArrayInfo("/", key, key, 2, None, kind="features")


class Compute:
    """Counts its calls; each begins with `begun` and ends after `go_on`."""

    def __init__(self, waits: bool = False):
        self.calls, self.begun, self.go_on = 0, threading.Event(), threading.Event()
        if not waits:
            self.go_on.set()

    def __call__(self) -> np.ndarray:
        self.calls += 1
        self.begun.set()
        assert self.go_on.wait(20)
        return ARRAY


@pytest.fixture
def slow():
    compute = Compute(waits=True)
    yield compute
    compute.go_on.set()


def test_different_ones_are_computed_side_by_side_and_photos_decoded(paths, folder, slow, nothing_half_made):
    """Else a search of many networks' features computes one at a time, whatever its trialConcurrency."""
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(computed, folder, info("a"), slow, "computing a")
        assert slow.begun.wait(20)
        try:
            assert np.array_equal(computed(folder, info("b"), Compute(), "computing b"), ARRAY)
            assert cached(paths, (20, 15), "bicubic", folder) is not None
        finally:
            slow.go_on.set()
        assert np.array_equal(first.result(20), ARRAY)
    assert len(list(folder.glob("features-*.npy"))) == 2 and nothing_half_made(folder)


def test_the_same_one_is_computed_once(folder, slow, capsys):
    other = Compute()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(computed, folder, info(), slow, "computing a")
        assert slow.begun.wait(20)
        second = threads.submit(computed, folder, info(), other, "computing a")
        with pytest.raises(TimeoutError):
            second.result(0.2)
        slow.go_on.set()
        assert np.array_equal(first.result(20), second.result(20))
    assert (slow.calls, other.calls) == (1, 0)
    err = capsys.readouterr().err
    assert err.count("computing a once") == 1 and err.count("waiting for another process") == 1


def test_an_error_of_the_computing_is_no_error_of_the_folder(folder, caplog, nothing_half_made):
    calls = []

    def fails():
        calls.append(1)
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        computed(folder, info(), fails, "computing")
    assert len(calls) == 1 and "can't be written to" not in caplog.text and nothing_half_made(folder)


def test_one_that_finds_no_room_in_the_end_is_returned_and_not_kept(folder, capsys, monkeypatch):
    rooms = iter([None, NoRoom("the disk is full")])

    def make_room(*given):
        if problem := next(rooms):
            raise problem

    monkeypatch.setattr("dataset.cache.computed.make_room", make_room)
    compute = Compute()
    assert np.array_equal(computed(folder, info(), compute, "computing", 48, 100), ARRAY)
    assert compute.calls == 1 and not list(folder.glob("*.npy"))
    assert "features are not kept: the disk is full" in capsys.readouterr().err


def test_one_that_cannot_be_written_is_computed_once(folder, capsys, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    compute = Compute()
    assert np.array_equal(computed(folder, info(), compute, "computing"), ARRAY)
    assert compute.calls == 1
    assert "can't be written to (No space left on device)" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


def test_locks_of_killed_processes_are_removed_and_held_ones_are_not(folder, slow):
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(computed, folder, info(), slow, "computing a")
        assert slow.begun.wait(20)
        (folder / "features-killed.lock").touch()
        sweep(folder)
        left = {path.name for path in folder.glob("features-*.lock")}
        slow.go_on.set()
        first.result(20)
    assert left == {"features-a.lock"}
