"""`python -m experiments resume` through NNI's real manager."""

import os
import re
import signal
import time

import pandas as pd
import psutil
import pytest

from analysis.trials.nni_database import recorded_trials
from analysis.trials.table import Experiment, trial_table
from experiments.checks.ports import any_port
from tests import forked
from tests.experiments.conftest import give
from tests.experiments.test_run import at_work_in, start
from tests.experiments.test_trouble import TUNER
from tests.forked import Forked
from trial.run_folder.record import RunFolder

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))


def folder_of(mine):
    return next((mine.folder / "runs").glob("[!_.]*"))


def resume(mine, *more, home=None):
    environ = os.environ | ({"HOME": str(home)} if home else {})
    words = ["-m", "experiments", "resume", folder_of(mine), "--port", any_port(), *more]
    return forked.run(*words, env=environ, timeout=240)


def wait_for(ready, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.2)
    raise AssertionError("it took too long")


def states(mine):
    folder = folder_of(mine)
    return [RunFolder(folder / "trials" / trial.trial).status()["state"] for trial in recorded_trials(folder)]


def at_work(mine, done, running):
    """Whether `done` trials are done, and `running` others have ended an epoch."""
    runs = mine.folder / "runs"
    if not list(runs.glob("[!_.]*/db/nni.sqlite")):
        return False
    found = states(mine)
    epochs = list(runs.glob("[!_.]*/trials/*/epochs.csv"))
    return found.count("done") >= done and found.count("running") == running and len(epochs) >= done + running


def everything_is_there(mine, number):
    """As many trials as were asked for, each done, none twice, numbered one by one, and known to the search."""
    folder = folder_of(mine)
    table = trial_table(Experiment(folder.name, "mine", folder))
    assert list(table["state"]) == ["done"] * number, table[["trial", "state", "reason"]]
    assert list(table["sequence"]) == list(range(number))
    assert table["learning_rate"].nunique() == number
    chosen = pd.read_csv(folder / "chosen.csv")
    assert set(chosen.loc[chosen["state"] == "complete", "trial"]) == set(table["trial"])
    assert at_work_in(mine.folder / "runs") == []


def kill(mine):
    """End manager, tuner and trials at once, as a crash of the machine would."""
    (manager,) = (p for p in at_work_in(mine.folder / "runs") if "nni_node" in " ".join(p.cmdline()))
    processes = [manager, *manager.children(recursive=True)]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


def test_a_killed_one_reaches_its_number_then_gets_more(mine, people, home, tmp_path):
    give(mine, maxTrialNumber=4)
    run = start(mine, people, "--port", str(any_port()), "--set", "epochs=12")
    wait_for(lambda: at_work(mine, 1, 2))
    kill(mine)
    _, err = run.communicate(timeout=90)
    assert run.returncode == 1, err
    assert f"python -m experiments resume {folder_of(mine)}" in err
    other = tmp_path / "other"  # whose NNI does not know the experiment
    other.mkdir()
    done = resume(mine, home=other)
    assert done.returncode == 0, done.stderr
    assert "trials have begun, 2 of them run again" in done.stderr
    assert "4 of 4 trials ended" in done.stderr
    everything_is_there(mine, 4)

    done = resume(mine)
    assert done.returncode == 2
    assert (
        f"all its 4 trials have begun and ended; more of them: python -m experiments resume {folder_of(mine)}"
        in (done.stderr)
    )
    done = resume(mine, "--trials", "2")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 trials ended" in done.stderr
    everything_is_there(mine, 6)


def test_one_that_a_person_stopped_is_twice_interrupted(mine, people, home):
    give(mine, maxTrialNumber=3)
    run = start(mine, people, "--port", str(any_port()), "--set", "epochs=60")
    wait_for(lambda: at_work(mine, 0, 2))
    os.kill(run.pid, signal.SIGINT)
    assert run.wait(60) == 130
    second = Forked("-m", "experiments", "resume", folder_of(mine), "--port", any_port())
    wait_for(lambda: states(mine).count("running") == 2)
    assert "still runs; stop it first" in resume(mine).stderr
    os.kill(second.pid, signal.SIGINT)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 130, err
    assert "ended early: " in err
    done = resume(mine)
    assert done.returncode == 0, done.stderr
    everything_is_there(mine, 3)


def test_a_grid_goes_on_with_what_has_not_begun(mine, people, home):
    give(mine, tuner={"name": "GridSearch"}, maxTrialNumber=None)
    mine.space.write_text('{"learning_rate": {"_type": "choice", "_value": [0.001, 0.002, 0.003, 0.004]}}')
    run = start(mine, people, "--port", str(any_port()), "--set", "epochs=12")
    wait_for(lambda: at_work(mine, 1, 2))
    kill(mine)
    run.communicate(timeout=90)
    done = resume(mine)
    assert done.returncode == 0, done.stderr
    assert "GridSearch goes on with the combinations that have not begun" in done.stderr
    folder = folder_of(mine)
    table = trial_table(Experiment(folder.name, "mine", folder))
    assert list(table["state"]) == ["done"] * 4
    assert sorted(table["learning_rate"]) == [0.001, 0.002, 0.003, 0.004]


ASSESSOR = """
import os

from nni.assessor import Assessor, AssessResult


class Raises(Assessor):
    def assess_trial(self, trial, history):
        if os.path.exists(os.path.join(os.path.dirname(__file__), "now")):
            raise ValueError("out of luck")
        return AssessResult.Good
"""


@pytest.mark.parametrize("which", ["tuner", "assessor"])
def test_one_that_raises_after_a_resume_is_noticed(mine, people, home, which):
    """An assessor that raises at the first report after the resume; a tuner that raised at the third suggestion,
    and does so again: each is said once, for this start."""
    if which == "tuner":
        (mine.folder / "raises.py").write_text(TUNER)
        give(mine, tuner={"className": "raises.Raises", "codeDirectory": ".", "classArgs": {"when": "third"}})
    else:
        (mine.folder / "raises.py").write_text(ASSESSOR)
        give(mine, assessor={"className": "raises.Raises", "codeDirectory": "."})
    run = start(mine, people, "--port", str(any_port()), "--set", "epochs=1")
    _, err = run.communicate(timeout=150)
    assert run.returncode == 0, err
    (mine.folder / "now").touch()
    done = resume(mine, "--trials", "4")
    assert done.returncode == 1, done.stderr
    assert re.search(r"the tuner or the assessor raised ValueError: out of luck \(raises.py", done.stderr)
    assert "Traceback" not in done.stderr
    wait_for(lambda: not at_work_in(mine.folder / "runs"), 20)  # a trial whose manager has ended ends itself
