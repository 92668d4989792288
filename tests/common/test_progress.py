import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from common import progress
from common.progress import track

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def clock(monkeypatch):
    """clock[0] is what time.monotonic() returns."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then(clock, capsys):
    for number in track(range(100), "decoding photos"):
        assert number is not None
        clock[0] += 0.25
    assert capsys.readouterr().err.splitlines() == [
        "decoding photos: 40 of 100", "decoding photos: 80 of 100", "decoding photos: done in 25 s",
    ]  # fmt: skip


def test_a_log_says_of_what(clock, capsys):
    batches = track(range(30), "retraining, epoch 1/2", "batches")
    for epoch in (2, 3):
        for _ in batches:
            clock[0] += 0.5
        batches.label = f"retraining, epoch {epoch}/2"
    assert capsys.readouterr().err.splitlines() == [
        "retraining, epoch 1/2: 20 of 30 batches", "retraining, epoch 1/2: done in 15 s",
        "retraining, epoch 2/2: 20 of 30 batches", "retraining, epoch 2/2: done in 15 s",
    ]  # fmt: skip


def test_what_ends_soon_says_nothing_in_a_log_as_often_as_it_is_iterated(clock, capsys):
    twice = track([1, 2, 3], "decoding photos")
    for _ in range(2):
        seen = []
        for thing in twice:
            seen.append(thing)
            clock[0] += 3
        assert seen == [1, 2, 3] and len(twice) == 3
    assert capsys.readouterr().err == ""


def test_things_without_a_length(clock, capsys):
    for _ in track((number for number in range(3)), "counting"):
        clock[0] += 6
    assert capsys.readouterr().err.splitlines() == ["counting: 2", "counting: done in 18 s"]


def test_a_terminal_gets_a_bar():
    ours, theirs = pty.openpty()
    script = "from common.progress import track\nprint(sum(track(range(10), 'decoding photos')))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, stderr=theirs, text=True,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    assert done.stdout == "45\n"
    assert "decoding photos" in os.read(ours, 10000).decode()
    os.close(ours)
