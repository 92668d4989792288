"""nnictl as experiments start it: patient with a manager that lives, not with one that has died."""

import subprocess
import sys
import time

import pytest

from nni_setup import nnictl


@pytest.fixture
def asked(monkeypatch):
    """The manager answers when it is asked for the fifth time."""
    times = []

    def get(port, path, prefix):
        times.append((port, path))
        if len(times) < 5:
            raise ConnectionError("Max retries exceeded: /check-status")

    monkeypatch.setattr(nnictl.launcher.rest, "get", get)
    return times


def test_a_manager_that_lives_is_waited_for(asked):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as manager:
        nnictl.check_rest_server(8123)
        manager.communicate(b"\n")
    assert asked == [(8123, "/check-status")] * 5


def test_one_that_has_died_is_not(asked):
    manager = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    while nnictl._starting():
        time.sleep(0.05)
    with pytest.raises(ConnectionError, match="check-status"):
        nnictl.check_rest_server(8123)
    assert len(asked) < 5
    manager.wait()


def test_nni_asks_by_the_name_that_is_replaced():
    """start_experiment looks the function up in its module, with these words."""
    words = nnictl.launcher.start_experiment.__code__.co_names
    assert "_check_rest_server" in words
