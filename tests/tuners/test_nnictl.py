"""nnictl as experiments start it: it waits for its own manager, and for no other one."""

import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from tests.nni_server import NNICTL, TinyExperiment, free_port
from tuners import nnictl

LISTENS = """
import socket, sys, time
time.sleep(0.3)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    input()
"""


@pytest.fixture
def asked(monkeypatch):
    times = []
    monkeypatch.setattr(nnictl.launcher.rest, "get", lambda port, path, prefix: times.append((port, path)))
    return times


def listener(port: int) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", LISTENS, str(port)], stdin=subprocess.PIPE)


def test_a_manager_that_lives_is_waited_for(asked):
    port = free_port()
    with listener(port) as manager:
        nnictl.check_rest_server(port)
        manager.communicate(b"\n")
    assert asked == [(port, "/check-status")]


def test_one_that_has_died_is_not_and_another_one_is_not_taken_for_it(asked, monkeypatch):
    port = free_port()
    with listener(port) as other:
        while not nnictl._listens(psutil.Process(other.pid), port):
            time.sleep(0.05)
        monkeypatch.setattr(nnictl, "_managers", list)
        with pytest.raises(RuntimeError, match=f"{port} is not idle"):
            nnictl.check_rest_server(port)
        other.communicate(b"\n")
    assert asked == []


def test_nni_asks_by_the_name_that_is_replaced():
    """start_experiment looks the function up in its module."""
    assert "_check_rest_server" in nnictl.launcher.start_experiment.__code__.co_names


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("program", [[str(NNICTL)], ["-m", "tuners.nnictl"]])
def test_of_two_that_choose_one_port_at_once_one_runs_with_its_own_trials(program, tmp_path):
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    tiny = [TinyExperiment.write(folder, trials=2) for folder in folders]
    port = free_port()
    started = [
        subprocess.Popen(
            [
                sys.executable,
                *program,
                "create",
                "--config",
                str(one.folder / "tiny.yaml"),
                "--port",
                str(port),
            ],
            env={**os.environ, "HOME": str(one.folder / "home")},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for one in tiny
    ]
    try:
        printed = [process.communicate(timeout=150)[0] for process in started]
        logs = [path.read_text() for path in sorted(tmp_path.glob("*/runs/[!_]*/log/nnimanager.log"))]
        assert sum(log.count("Starting experiment: ") for log in logs) == 1, printed
    finally:
        managers = [
            one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(one.info["cmdline"])
        ]
        for process in [*managers, *(child for one in managers for child in one.children(recursive=True))]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
