"""MPS's daemon, for which a script stands in that records how it is called."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from common.machine import PROJECT
from common.process import lives
from experiments import mps, run
from experiments.mps import LOGS, PIPES, shared_gpus
from experiments.plan import Plan

SHARED = {"platform": "local", "maxTrialNumberPerGpu": 2, "useActiveGpu": True}
# As the daemon: -f runs until it is told to quit through its folder of pipes; it has a server of its own.
STAND_IN = """\
#!{python}
import os, subprocess, sys, time
pipes, log = os.environ["CUDA_MPS_PIPE_DIRECTORY"], open({log!r}, "a")
gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
print(*sys.argv[1:] or [sys.stdin.read().strip()], gpus, os.getpid(), file=log, flush=True)
if sys.argv[1:] == ["-f"]:
    {begin}
    server = subprocess.Popen(["sleep", "60"])
    print("server", server.pid, file=log, flush=True)
    open(pipes + "/control", "w").close()
    while os.path.exists(pipes + "/control"):
        time.sleep(0.01)
    server.kill()
elif {quits}:
    os.remove(pipes + "/control")
"""


def plan_of(runs: Path, **service) -> Plan:
    config = {"trialGpuNumber": 1, "trainingService": {**SHARED, **service}, "trialConcurrency": 2}
    config["experimentWorkingDirectory"] = str(runs)
    return Plan(runs / "mine.yaml", config, {}, "python -m trial", ())


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Writes the script that stands in, and returns where it records its calls."""
    log, tool = tmp_path / "calls", tmp_path / "bin" / mps.CONTROL
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(mps, "START_SECONDS", 3)
    monkeypatch.setattr(mps, "END_SECONDS", 5)
    monkeypatch.setattr(mps, "MAX_PATH", 1000)

    def write(begin: str = "pass", quits: bool = True) -> Path:
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(STAND_IN.format(python=sys.executable, log=str(log), begin=begin, quits=quits))
        tool.chmod(0o755)
        return log

    return write


def calls(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()]


def wait_for(what) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def ended(process: str) -> bool:
    try:
        return not lives(psutil.Process(int(process)))
    except psutil.NoSuchProcess:
        return True


def stopped_by_hand(runs: Path, log: Path) -> None:
    with shared_gpus(plan_of(runs)) as environ:
        assert environ.keys() == {PIPES, LOGS}
        assert all(Path(place).is_dir() for place in environ.values())
        assert Path(environ[PIPES]).parent.parent == runs
        wait_for(lambda: log.exists() and len(calls(log)) == 2)
        (word, gpus, daemon), _ = calls(log)
        assert (word, gpus) == ("-f", "all")
        assert not ended(daemon)
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("quits", [True, False])
def test_the_experiments_daemon_lives_as_long_as_its_search(tmp_path, monkeypatch, stand_in, quits):
    log = stand_in(quits=quits)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(KeyboardInterrupt):
        stopped_by_hand(tmp_path / "runs", log)
    (_, _, daemon), (_, server), *_ = calls(log)
    assert [call[0] for call in calls(log)] == ["-f", "server", "quit"]
    assert ended(daemon)
    wait_for(lambda: ended(server))
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"maxTrialNumberPerGpu": 1}, ""),
        ({"maxTrialNumberPerGpu": None}, ""),
        ({"useActiveGpu": False}, "2 trials share a GPU without MPS: with it NNI needs useActiveGpu: true"),
    ],
)
def test_without_need_none_is_started(tmp_path, stand_in, caplog, service, said):
    caplog.set_level("INFO")
    log = stand_in()
    with shared_gpus(plan_of(tmp_path, **service)) as environ:
        assert environ == {}
    assert not log.exists()
    assert said in caplog.text and bool(said) == bool(caplog.text)


def test_a_path_that_is_too_long_for_a_socket_is_said(tmp_path, stand_in, monkeypatch, caplog):
    caplog.set_level("INFO")
    log = stand_in()
    monkeypatch.setattr(mps, "MAX_PATH", 10)
    with shared_gpus(plan_of(tmp_path)) as environ:
        assert environ == {}
    assert not log.exists()
    assert "too long for it" in caplog.text


def test_a_daemon_that_cannot_run_is_done_without(tmp_path, stand_in, monkeypatch, caplog):
    caplog.set_level("INFO")
    stand_in(begin="sys.exit('no such driver')")
    monkeypatch.setattr(mps, "START_SECONDS", 30)
    with shared_gpus(plan_of(tmp_path)) as environ:
        assert environ == {}
    assert "without MPS: nvidia-cuda-mps-control ended: no such driver" in caplog.text


def test_a_machine_without_mps_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with shared_gpus(plan_of(tmp_path)) as environ:
        assert environ == {}


def test_nnis_manager_gets_the_environment(tmp_path):
    assert run.on_machines(lambda environ: environ, 8080, plan_of(tmp_path), {PIPES: "/x"}) == {PIPES: "/x"}


@pytest.mark.slow
def test_a_killed_search_leaves_no_daemon(tmp_path, stand_in):
    log = stand_in()
    code = (
        "import sys, time; from pathlib import Path; from tests.experiments.test_mps import plan_of;"
        "from experiments import mps; mps.MAX_PATH = 1000\n"
        "with mps.shared_gpus(plan_of(Path(sys.argv[1]))): time.sleep(60)"
    )
    search = subprocess.Popen([sys.executable, "-c", code, tmp_path / "runs"], cwd=PROJECT)
    try:
        wait_for(lambda: log.exists() and len(calls(log)) == 2)
        daemon = calls(log)[0][-1]
    finally:
        search.send_signal(signal.SIGKILL)
        search.wait()
    wait_for(lambda: ended(daemon))
    os.kill(int(calls(log)[1][1]), signal.SIGKILL)  # the stand-in's server
