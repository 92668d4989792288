"""`python -m experiments run` through NNI's real manager."""

import os
import re
import shlex
import signal
import subprocess
import time

import psutil
import pytest

from analysis.trials.table import Experiment, trial_table
from common.machine import PROJECT
from experiments.checks.ports import any_port, taken
from experiments.server import NNICTL
from tests.forked import Forked
from tests.nni_server import listening
from trial.run_folder.record import RunFolder

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))


def start(mine, people, *more, stderr=None):
    return Forked("-m", "experiments", "run", mine.yaml, "--data", people, *more, stderr=stderr)


def at_work_in(folder):
    """Processes with `folder` in their command."""
    return [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]


def test_from_start_to_page(mine, people, home):
    port = any_port()
    run = start(mine, people, "--port", str(port), "--set", "epochs=1")
    out, err = run.communicate(timeout=150)
    assert run.returncode == 0, err
    assert "2 of 2 trials ended" in err
    assert "best macro-F1 0." in err
    assert re.findall(r"https?://\S+", out + err) == [f"http://127.0.0.1:{port}"]  # the one that answers
    assert not taken(port)
    assert at_work_in(mine.folder / "runs") == []
    folder = mine.folder / "runs" / re.search(r"^experiment (\w{8}):", out, re.MULTILINE)[1]
    assert len(list(folder.glob("trials/*/weights.safetensors"))) == 2
    assert (folder / "experiment.yaml").is_file()

    view = shlex.split(re.search(r"NNI's page:\s+(.*)", out)[1])
    try:
        said = subprocess.run(view, cwd=PROJECT, capture_output=True, text=True, timeout=60)
        assert listening().get(str(port)) == {"127.0.0.1"}, said.stdout + said.stderr
    finally:
        subprocess.run([view[0], "stop", view[2]], cwd=PROJECT, capture_output=True, timeout=60)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_nothing_running(mine, people, home, number, code):
    port = any_port()
    run = start(mine, people, "--port", str(port), "--set", "epochs=1000")
    end = time.monotonic() + 60
    while not list((mine.folder / "runs").glob("*/trials/*/epochs.csv")) and time.monotonic() < end:
        time.sleep(0.3)
    os.kill(run.pid, number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == code, err
    assert "ended early: 2 trials ended, 0 finished; what can be done:" in err
    assert "its best recipe" not in err, "there is none"
    assert "Traceback" not in err
    begun = [p.parent for p in (mine.folder / "runs").glob("[!_]*/trials/*/epochs.csv")]
    assert {RunFolder(run).status()["state"] for run in begun} == {"interrupted"}
    assert not taken(port)
    assert at_work_in(mine.folder / "runs") == []


def test_a_person_stops_one_trial_then_the_experiment(mine, people, home):
    run = start(mine, people, "--port", str(any_port()), "--set", "epochs=1000", "--trials", "3")
    runs = mine.folder / "runs"

    def begun():
        return [path.parent for path in runs.glob("[!_]*/trials/*/epochs.csv")]

    def wait(count):
        end = time.monotonic() + 90
        while len(begun()) < count and time.monotonic() < end:
            time.sleep(0.3)

    wait(2)
    first = begun()[0]
    kill = [NNICTL, "trial", "kill", first.parent.parent.name, "--trial_id", first.name]
    subprocess.run(kill, cwd=PROJECT, capture_output=True, timeout=60)
    wait(3)  # the next one takes its place
    os.kill(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=90)
    assert run.returncode == 130, err
    folder = first.parent.parent
    table = trial_table(Experiment(folder.name, "mine", folder)).set_index("trial")
    assert table.loc[first.name, "state"] == "stopped_early"
    # Interrupted, unless NNI came to note that it stopped them.
    assert set(table.drop(first.name)["state"]) <= {"interrupted", "stopped_early"}
    assert table.loc[first.name, "reason"] == "stopped by a person (NNI's page or nnictl)"
    assert set(table.drop(first.name)["reason"]) == {"stopped with the experiment"}
    assert len(table) == 3


def test_the_experiments_duration_ends_it_cleanly(mine, people, home):
    """NNI starts no trial after maxExperimentDuration, and lets running ones finish."""
    mine.change("maxTrialNumber: 2", "maxExperimentDuration: 12s")
    run = start(mine, people, "--port", str(any_port()), "--set", "epochs=1")
    _, err = run.communicate(timeout=150)
    assert run.returncode == 0, err
    folder = next((mine.folder / "runs").glob("[!_]*"))
    table = trial_table(Experiment(folder.name, "mine", folder))
    assert set(table["state"]) == {"done"}
    assert len(table) >= 2
    assert "0 running" in err.splitlines()[-2]
