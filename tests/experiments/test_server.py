"""Starting NNI's server: what a start that failed leaves behind."""

import subprocess
import sys

import pytest

from common.errors import UsageError
from experiments import server

STARTED = 'To stop experiment run "nnictl stop abcd1234" or "nnictl stop --all"'


def test_a_start_that_lost_the_port_to_another_one_leaves_no_experiment(tmp_path, monkeypatch):
    """nnictl takes the other manager's answer for that of its own, which is gone."""

    def create(*words, **_):
        (tmp_path / "abcd1234" / "log").mkdir(parents=True)
        return STARTED

    monkeypatch.setattr(server, "_nnictl", create)
    with pytest.raises(UsageError, match="taken by another experiment"):
        server.start(tmp_path / "x.yaml", 8080, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_has_begun_trials_stays(tmp_path, monkeypatch):
    (tmp_path / "abcd1234" / "trials").mkdir(parents=True)
    monkeypatch.setattr(server, "_nnictl", lambda *words, **_: STARTED)
    with pytest.raises(UsageError, match="taken by another experiment"):
        server.start(tmp_path / "x.yaml", 8080, tmp_path)
    assert (tmp_path / "abcd1234").is_dir()


def test_a_manager_that_nnictl_took_too_long_over_is_stopped(tmp_path, monkeypatch):
    """nnictl has said which experiment it began, so that its manager is found."""
    stopped = []
    monkeypatch.setattr(server, "NNICTL_SECONDS", 1)
    monkeypatch.setattr(server.Server, "stop", lambda self: stopped.append(self.id))
    program = "import time; print('Experiment ID: abcd1234', flush=True); time.sleep(60)"
    monkeypatch.setattr(
        server,
        "_begin",
        lambda *words, **_: subprocess.Popen(
            [sys.executable, "-c", program], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ),
    )
    with pytest.raises(RuntimeError, match="NNI did not start: nnictl took longer than 1 s"):
        server.start(tmp_path / "x.yaml", 1, tmp_path)
    assert stopped == ["abcd1234"]


MANAGER = """
import signal, subprocess, sys
tuner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "--exp_params"])
def stop(*_):
    open(sys.argv[1], "w").write("too late" if tuner.poll() is not None else "first")
    tuner.wait()
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
signal.pause()
"""


def test_the_manager_is_told_before_a_tuner_that_goes_on_computing_is_killed(tmp_path, monkeypatch):
    """nnictl takes longer to begin than TUNER_SECONDS on a busy machine; NNI would note an error."""
    told = tmp_path / "told"
    monkeypatch.setattr(server, "TUNER_SECONDS", 0.2)
    words = [sys.executable, "-c", MANAGER, str(told), "nni_node", "--experiment-id", "abcd1234"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as manager:
        assert manager.stdout and manager.stdout.readline() == b"ready\n"
        server.Server("abcd1234", 1, tmp_path).stop()
        assert (manager.wait(), told.read_text()) == (0, "first")
