"""A stop by a person, by the assessor and by the end of the experiment are distinguished."""

import pytest

from analysis.trials.table import Experiment, trial_table
from tests.analysis.fake_experiment import finished, make_experiment, more_events, record
from tests.conftest import TINY
from trial.process.signals import OUTSIDE

SPACE = {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]}}


@pytest.fixture
def experiment(tmp_path):
    return Experiment(
        "abc", "tiny", make_experiment(tmp_path / "abc", SPACE, assessor={"name": "Medianstop"})
    )


def test_who_stopped_a_trial_is_told_by_nnis_database(experiment):
    given = {"learning_rate": 0.05}
    by = {  # NNI writes USER_TO_CANCEL up to 5 s after the cancelling, so before or after USER_CANCELED
        "assessor": ["EARLY_STOPPED"], "person": ["USER_TO_CANCEL", "USER_CANCELED"],
        "late": ["USER_CANCELED", "USER_TO_CANCEL"], "end": ["USER_CANCELED"], "system": ["SYS_CANCELED"],
        "killed": ["RUNNING"], "signal": ["FAILED"],
    }  # fmt: skip
    for trial, events in by.items():
        folder = record(experiment.folder, trial, given, events[0])
        more_events(experiment.folder, trial, events[1:])
        finished(folder, {**TINY, **given}, 0.8, "interrupted", reason=OUTSIDE)
    record(experiment.folder, "early", given, "USER_CANCELED")
    more_events(experiment.folder, "early", ["USER_TO_CANCEL"])
    more_events(experiment.folder, "", ["IMPORT_DATA"])
    finished(record(experiment.folder, "done", given, "EARLY_STOPPED"), {**TINY, **given}, 0.4)
    finished(
        record(experiment.folder, "gone", given, "RUNNING"), {**TINY, **given}, 0.4, "interrupted",
        reason="NNI's manager is gone",
    )  # fmt: skip
    table = trial_table(experiment).set_index("trial")
    person, end = "stopped by a person (NNI's page or nnictl)", "stopped with the experiment"
    assert dict(table["reason"]) == {
        "assessor": "stopped by the assessor", "person": person, "late": person, "end": end, "system": end,
        "killed": end, "signal": "interrupted by a signal (SIGTERM) that was not NNI's",
        "early": f"{person}, before it started", "done": "", "gone": "NNI's manager is gone",
    }  # fmt: skip
    go_on = ["killed", "signal", "gone"]
    assert set(table.loc[go_on, "state"]) == {"interrupted"}
    assert set(table["state"].drop(["done", *go_on])) == {"stopped_early"}
    assert table.loc["done", "state"] == "done"


def test_a_trial_that_a_resumed_experiment_takes_up_again_waits(experiment):
    given = {"learning_rate": 0.05}
    record(experiment.folder, "again", given, "RUNNING")
    more_events(experiment.folder, "again", ["ADD_RESUMED"])
    row = trial_table(experiment).set_index("trial").loc["again"]
    assert (row["state"], row["reason"]) == ("waiting", "waiting for its turn")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"maxTrialDuration": "30m"}, "stopped by maxTrialDuration (30m)"),
        ({"assessor": {"name": "Medianstop"}}, "stopped by the assessor"),
        (
            {"maxTrialDuration": 90, "assessor": {"name": "Medianstop"}},
            "stopped by the assessor or maxTrialDuration (90)",
        ),
    ],
)
def test_nni_says_early_stopped_of_long_trials_too(tmp_path, config, said):
    folder = make_experiment(tmp_path / "limited", SPACE, **config)
    given = {"learning_rate": 0.05}
    finished(
        record(folder, "a", given, "EARLY_STOPPED"), {**TINY, **given}, 0.8, "stopped_early", reason=OUTSIDE
    )
    assert list(trial_table(Experiment("limited", "", folder))["reason"]) == [said]
