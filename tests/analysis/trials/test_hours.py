"""Hours of search, from NNI's events; numbers that NNI hands out twice, and reports that it has twice."""

import pytest

from analysis.trials.hours import hours_of_search, hours_words
from analysis.trials.nni_database import recorded_trials
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, trial_table
from tests.analysis.fake_experiment import finished, make_experiment, timeline
from tests.conftest import TINY

SPACE = {"learning_rate": {"_type": "uniform", "_value": [0.001, 0.1]}}
HOUR = 3600
# Two at a time; killed during the second hour, when `cut` had reported for the last time after 1.5 h. Resumed
# after 10 h: `cut` was taken up again, in the same folder and with all its reports again, `next` got the number
# that `late` has. After 20 h a second resume: it takes up none, and NNI counts from 1 again.
TIMES = {
    "default": (0, [(0, "WAITING"), (2, "RUNNING"), (HOUR, "SUCCEEDED")]),
    "early": (1, [(1, "WAITING"), (0.25 * HOUR, "REPORT"), (0.5 * HOUR, "EARLY_STOPPED")]),
    "cut": (2, [
        (0.5 * HOUR, "WAITING"), (0.5 * HOUR + 1, "RUNNING"), (1.5 * HOUR, "REPORT"),
        (10 * HOUR, "ADD_RESUMED"), (10 * HOUR, "WAITING"), (10 * HOUR, "REPORT"), (10 * HOUR, "REPORT"),
        (10.5 * HOUR - 1, "REPORT"), (10.5 * HOUR, "SUCCEEDED"),
    ]),
    "late": (3, [(HOUR + 5, "WAITING"), (1.25 * HOUR, "SUCCEEDED")]),
    "next": (3, [(10.5 * HOUR + 5, "WAITING"), (10.75 * HOUR, "SUCCEEDED"), (10.75 * HOUR + 1, "EARLY_STOPPED")]),
    "last": (1, [(20 * HOUR, "WAITING"), (20 * HOUR + 1, "RUNNING"), (20.25 * HOUR, "REPORT")]),
}  # fmt: skip
HOURS = {"default": 1, "early": 0.5, "cut": 2, "late": 1.25, "next": 2.25, "last": 2.5}
SCORES = {"default": 0.5, "early": 0.9, "cut": 0.7, "late": 0.4, "next": 0.6, "last": 0.8}
STATES = {"early": "stopped_early", "last": "running"}


@pytest.fixture
def experiment(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE)
    for rate, (name, (sequence, events)) in enumerate(TIMES.items(), start=1):
        given = {"learning_rate": rate / 100}
        run = timeline(folder, name, events, sequence, given)
        finished(run, TINY | given, SCORES[name], STATES.get(name, "done"))
    return Experiment("abc", "tiny", folder)


def test_hours_leave_out_the_times_between_an_end_and_a_resume(experiment):
    assert hours_of_search(experiment.folder) == pytest.approx(HOURS, abs=0.01)


def test_a_trial_whose_end_a_resume_noticed_ended_with_its_last_epoch(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE)
    unnoticed = [(0, "WAITING"), (0.5 * HOUR, "REPORT"), (HOUR, "REPORT"), (9 * HOUR, "SUCCEEDED")]
    timeline(folder, "unnoticed", unnoticed, 0, {"learning_rate": 0.1})
    timeline(folder, "after", [(9 * HOUR, "WAITING"), (10 * HOUR, "SUCCEEDED")], 1, {"learning_rate": 0.2})
    assert hours_of_search(folder) == pytest.approx({"unnoticed": 1, "after": 2})


def test_numbers_are_in_the_order_of_nni_and_no_one_comes_twice(experiment):
    assert [one.trial for one in recorded_trials(experiment.folder)] == list(TIMES)
    table = trial_table(experiment)
    assert list(table["trial"]) == list(TIMES)
    assert list(table["sequence"]) == list(range(6))
    assert rank(table).default["trial"] == "default"


def test_the_table_has_them_and_the_list_says_when_the_best_ended(experiment):
    table = trial_table(experiment)
    assert dict(zip(table["trial"], table["hours"], strict=True)) == pytest.approx(HOURS, abs=0.01)
    assert hours_words(rank(table)) == "The best trial ended after 2.0 of 2.5 hours of search."
    short = rank(table.assign(hours=table["hours"] / 10))
    assert hours_words(short) == "The best trial ended after 12.0 of 15.0 minutes of search."


def test_of_an_experiment_that_has_hardly_begun(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE)
    assert hours_of_search(folder) == {}
    timeline(folder, "a", [(0, "WAITING")], 0, {"learning_rate": 0.1})
    assert hours_of_search(folder) == {"a": 0}
    assert hours_words(rank(trial_table(Experiment("abc", "tiny", folder)))) == ""
