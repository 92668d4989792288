"""A trial that went on from earlier ones stands for them, in tables, exports, report and progress."""

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from analysis.pipeline import export_best
from analysis.report.experiment import write_experiment_report
from analysis.trials.printing import print_trials, write_trials
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, trial_table
from common.errors import UsageError
from experiments.progress import look
from tests.analysis import example_search
from tests.analysis.fake_experiment import finished, make_experiment, record
from trial.process.signals import OUTSIDE
from trial.run_folder.record import RunFolder
from tuners.chosen import Chosen, write_chosen

SPACE = {"learning_rate": {"_type": "uniform", "_value": [0.01, 0.1]}}
TINY = {"model": "test_resnet.r160_in1k", "weights": "none", "image_size": "32x32", "epochs": 8}
WHY = "paused after epoch 2: another recipe is worth more"
EARLIER = ("fiRsT", "secOnd")


def trial(folder, name, rate, macro_f1, epochs, state="stopped_early", parent="", reason=OUTSIDE):
    event = {"stopped_early": "EARLY_STOPPED", "done": "SUCCEEDED", "failed": "FAILED"}[state]
    recorded = {"learning_rate": rate} | ({"parent": parent} if parent else {})
    finished(
        record(folder, name, recorded, event), TINY | {"learning_rate": rate}, macro_f1, state, epochs,
        reason if state != "done" else "", parent=parent,
    )  # fmt: skip


@pytest.fixture
def experiment(tmp_path):
    """Three trials of the default recipe, of which the last one finished; one that is paused, with the highest
    score; one that finished at once."""
    folder = make_experiment(tmp_path / "abc", SPACE)
    trial(folder, "fiRsT", 0.01, 0.3, 2)
    trial(folder, "idle", 0.02, 0.9, 2)
    trial(folder, "secOnd", 0.01, 0.4, 4, parent="fiRsT")
    trial(folder, "whole", 0.03, 0.5, 8, "done")
    trial(folder, "third", 0.01, 0.6, 8, "done", parent="secOnd")
    choices = [
        Chosen(0, 4, "third", "default", state="complete", score=0.6, epochs=8),
        Chosen(1, 1, "idle", "model", 0.1, state="paused", epochs=2, why=WHY),
        Chosen(2, 3, "whole", "model", 0.1, state="complete", score=0.5, epochs=8),
    ]
    write_chosen(folder, choices)
    return Experiment("abc", "tiny", folder)


def shown(experiment) -> dict[str, int]:
    table = trial_table(experiment)
    return dict(zip(table["trial"], table["sequence"], strict=True))


def test_the_last_of_a_chain_stands_for_all_under_the_first_ones_number(experiment):
    table = trial_table(experiment).set_index("trial")
    assert dict(table["sequence"]) == {"third": 0, "idle": 1, "whole": 3}
    assert dict(table["state"]) == {"third": "done", "idle": "paused", "whole": "done"}
    assert (table.loc["third", "epochs_done"], table.loc["third", "seconds"]) == (8, 8)
    assert list(table["chosen_by"]) == ["default", "model", "model"]
    ranking = rank(table.reset_index())
    assert list(ranking.ranked["trial"]) == ["third", "whole"]
    assert ranking.default["trial"] == "third"


def test_a_paused_trial_is_not_ranked_and_says_why(experiment):
    ranking = rank(trial_table(experiment))
    row = ranking.unranked.iloc[0]
    assert (row["trial"], row["macro_f1"], row["reason"]) == ("idle", 0.9, WHY)
    with pytest.raises(UsageError, match="there are 2 finished trials"):
        ranking.best(3)


def test_without_the_searchs_word_it_was_stopped(experiment):
    (experiment.folder / "chosen.csv").unlink()
    table = trial_table(experiment).set_index("trial")
    assert (table.loc["idle", "state"], table.loc["idle", "reason"]) == (
        "stopped_early", "stopped by the assessor",
    )  # fmt: skip


def test_the_searchs_word_on_an_earlier_trial_counts_for_the_later_one(experiment):
    trial(experiment.folder, "again", 0.02, 0.9, 3, parent="idle")
    table = trial_table(experiment).set_index("trial")
    assert table.loc["again", ["state", "reason", "sequence"]].tolist() == ["paused", WHY, 1]


def test_what_is_shown_written_and_exported_names_no_earlier_trial(experiment, tmp_path, capsys):
    ranking = rank(trial_table(experiment))
    print_trials(ranking)
    said = capsys.readouterr().out
    assert "The model chose 2 of 3 recipes; the others: 1 the default; paused: 2, of which 1 went on." in said
    written = pd.read_csv(write_trials(ranking, tmp_path / "trials.csv"))
    assert list(written["trial"]) == ["third", "whole", "idle"]
    for name in ("third", "whole"):
        answers = example_search.validation(50)
        answers.to_parquet(experiment.folder / "trials" / name / "validation.parquet")
    page = write_experiment_report(experiment, tmp_path / "report.html", ranking, ranking.first).read_text()
    assert "3 trials: 2 finished, 1 paused." in page
    assert WHY in page
    for text in (page, said, written.to_csv()):
        assert not any(name in text for name in EARLIER)
    recipes = export_best(experiment, tmp_path / "best", top=2)
    assert [recipe.origin["trial"] for recipe in recipes] == ["third", "whole"]
    assert recipes[0].scores["epochs"] == 8
    with pytest.raises(UsageError, match="there are 2 finished trials"):
        export_best(experiment, tmp_path / "three", top=3)


@pytest.mark.parametrize("state", ["failed", "running"])
def test_a_trial_that_has_copied_nothing_hides_nothing(experiment, state):
    trial(experiment.folder, "dead", 0.02, None, 0, "failed", "idle", "out of memory")
    status = experiment.folder / "trials" / "dead" / "status.json"
    changed = json.loads(status.read_text()) | {"state": state, "score": None, "best_epoch": None}
    status.write_text(json.dumps(changed))
    table = trial_table(experiment).set_index("trial")
    assert dict(table["sequence"]) == {"third": 0, "idle": 1, "whole": 3, "dead": 5}
    assert table.loc["idle", "state"] == "paused"
    assert table.loc["dead", "state"] == state


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_trial_that_just_goes_on_is_paused_until_its_epochs_are_copied(experiment, state):
    """The search speaks of the later one by then."""
    recorded = {"learning_rate": 0.02, "parent": "idle"}
    record(experiment.folder, "next", recorded, "WAITING" if state == "waiting" else "RUNNING")
    write_chosen(experiment.folder, [Chosen(1, 5, "next", "model", 0.1, state="running", epochs=2)])
    table = trial_table(experiment).set_index("trial")
    assert table.loc["next", "state"] == state
    assert table.loc["idle", ["state", "reason"]].tolist() == ["paused", "goes on as trial next"]


def test_epochs_without_the_score_hide_nothing(experiment):
    """The network and the answers of the best epoch were not copied yet."""
    trial(experiment.folder, "dead", 0.02, None, 2, "failed", "idle", "killed")
    assert {"idle", "dead"} <= shown(experiment).keys()


def test_of_two_that_went_on_from_one_there_is_one_row(experiment):
    trial(experiment.folder, "dead", 0.02, 0.9, 3, "failed", "idle", "killed")
    assert shown(experiment) == {"third": 0, "dead": 1, "whole": 3}
    trial(experiment.folder, "after", 0.02, 0.9, 2, parent="idle")
    assert shown(experiment) == {"third": 0, "after": 1, "whole": 3}
    trial(experiment.folder, "end", 0.02, 0.95, 8, "done", parent="dead")
    trial(experiment.folder, "late", 0.02, 0.9, 3, "failed", "idle", "killed")
    assert shown(experiment) == {"third": 0, "end": 1, "whole": 3}


def test_a_parent_that_nni_does_not_know(experiment):
    trial(experiment.folder, "lost", 0.04, 0.9, 3, parent="nobody")
    trial(experiment.folder, "itself", 0.05, 0.9, 3, parent="itself")
    assert {"lost": 5, "itself": 6}.items() <= shown(experiment).items()


def test_values_other_than_the_recorded_ones_are_a_mismatch_still(experiment):
    run = record(experiment.folder, "other", {"learning_rate": 0.02, "parent": "idle"})
    finished(run, TINY | {"learning_rate": 0.05}, 0.9, epochs=8, parent="idle")
    row = trial_table(experiment).set_index("trial").loc["other"]
    assert row["state"] == "mismatch"
    assert "learning_rate" in row["reason"]
    assert "parent" not in row["reason"]


def test_the_curve_of_the_last_one_has_each_epoch_once(experiment):
    curve = RunFolder(experiment.folder / "trials" / "third").curve()
    assert list(curve["epoch"]) == list(range(1, 9))


def test_the_progress_counts_each_recipe_once(experiment):
    state = look(experiment.folder, 12)
    assert state.states == {"done": 2, "paused": 1}
    assert state.best == 0.6, "a paused trial is not the best"
    assert state.line().startswith("2 of 12 trials ended, 0 running, 1 paused, best macro-F1 0.600")
    assert state.work == 2.25
    assert [(one.ended, one.paused, one.epochs_done) for one in state.trials] == [
        (True, False, 8), (True, True, 2), (True, False, 8),
    ]  # fmt: skip


def test_the_age_of_a_trial_is_that_of_all_its_parts(experiment):
    """The time that a run started is that of its first part; each part has its process."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    parts = {"fiRsT": (0, 20), "secOnd": (40, 50), "third": (55, 59)}  # minutes
    for name, (began, ended) in parts.items():
        path = experiment.folder / "trials" / name / "status.json"
        status = json.loads(path.read_text())
        status |= {"started": _stamp(noon), "ended": _stamp(noon + timedelta(minutes=ended))}
        status["process"]["started"] = (noon + timedelta(minutes=began)).timestamp()
        path.write_text(json.dumps(status))
    assert look(experiment.folder, 12).trials[0].age == 60 * 34


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def test_the_progress_of_a_search_that_counts_whole_trainings(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE, arguments={"trainings": 6})
    trial(folder, "a", 0.01, 0.5, 8, "done")
    trial(folder, "b", 0.02, 0.6, 2)
    trial(folder, "c", 0.03, 0.4, 4, "failed", reason="the loss is nan")
    write_chosen(folder, [Chosen(1, 1, "b", "model", 0.1, state="paused", epochs=2, why=WHY)])
    state = look(folder, 24)
    assert (state.total, state.work, state.ahead) == (6, 1.75, 4)
    assert state.line().startswith(
        "1.8 of 6 trainings spent, 1 finished, 0 running, 1 paused, 1 failed, best macro-F1 0.500"
    )
