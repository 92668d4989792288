import io
import json
import sqlite3
from collections import Counter

import pytest

from analysis.trials.nni_database import OPEN
from experiments.progress import Display, State, clock, look
from tuners.reports import ALIVE


def database(folder, rows):
    (folder / "db").mkdir()
    with sqlite3.connect(folder / "db" / "nni.sqlite") as db:
        db.execute(
            "CREATE TABLE TrialJobEvent (timestamp, trialJobId, event, data, logPath, sequenceId, message)"
        )
        for trial, event in rows:
            data = json.dumps({"parameters": {}, "parameter_id": 0}) if event == "WAITING" else None
            db.execute("INSERT INTO TrialJobEvent VALUES (0, ?, ?, ?, '', NULL, '')", (trial, event, data))


def status(folder, trial, **values):
    run = folder / "trials" / trial
    run.mkdir(parents=True)
    (run / "status.json").write_text(json.dumps({"reason": "", "macro_f1": None, "epochs": 0, **values}))


def test_counts_and_the_best_finished(tmp_path):
    rows = [(t, "WAITING") for t in "abcde"] + [("a", "SUCCEEDED"), ("b", "EARLY_STOPPED"), ("c", "FAILED")]
    database(tmp_path, [*rows, ("d", "RUNNING")])
    status(tmp_path, "a", state="done", macro_f1=0.4)
    status(tmp_path, "b", state="stopped_early", macro_f1=0.9)
    status(tmp_path, "c", state="failed")
    state = look(tmp_path, 8)
    assert state.states == Counter(done=1, stopped_early=1, failed=1, running=1, waiting=1)
    assert state.best == 0.4, "only finished trials count"
    assert state.work == 3
    assert state.line().startswith(
        "3 of 8 trials ended, 1 running, 1 stopped early, 1 failed, best macro-F1 0.400"
    )


def test_a_trial_that_nni_has_lost_sight_of_is_at_work(tmp_path):
    """Else `experiments run` ends the search: the tuner suggests nothing while a trial is UNKNOWN."""
    database(tmp_path, [("a", "WAITING"), ("a", "RUNNING"), ("a", "UNKNOWN")])
    state = look(tmp_path, 8)
    assert (state.at_work, state.states) == (1, Counter(running=1))


def test_open_trials_are_those_of_the_tuner():
    assert OPEN == ALIVE


def test_the_best_is_by_the_metric_that_the_trials_have(tmp_path):
    database(tmp_path, [(t, "WAITING") for t in "ab"] + [("a", "SUCCEEDED"), ("b", "SUCCEEDED")])
    status(tmp_path, "a", state="done", macro_f1=0.4, metric="log_loss", score=-1.5)
    status(tmp_path, "b", state="done", macro_f1=0.3, metric="log_loss", score=-1.25)
    assert ", best negative log loss -1.250, " in look(tmp_path, 8).line()


def test_an_experiment_without_tables_yet(tmp_path):
    database(tmp_path, [])
    state = look(tmp_path, 8)
    assert state.ended == 0
    assert "no score yet, time left unknown yet" in state.line()


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (75, "1:15"), (3700, "1:01:40")])
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_plain_lines_when_a_trial_ends_only():
    stream = io.StringIO()
    with Display(2, stream=stream) as display:
        for ended in (0, 0, 0, 1, 1):
            display.show(State(2, Counter(done=ended), 0.5, ended))
    assert len(stream.getvalue().splitlines()) == 2


def test_whole_trainings_are_counted_as_integers():
    """The time of a resume gives 5.0."""
    assert State(5.0, work=3.0, in_trainings=True).line().startswith("3.0 of 5 trainings spent, 0 finished")
