"""Who chose a search's recipes, and why some were stopped, in table, trials.csv, terminal and report."""

import pandas as pd
import pytest

from analysis.report.experiment import write_experiment_report
from analysis.trials.chosen import Chosen as Row
from analysis.trials.chosen import choice_words
from analysis.trials.printing import print_trials, write_trials
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, recipe_columns, trial_table
from tests.analysis.fake_experiment import finished, make_experiment, record
from trial.process.signals import OUTSIDE
from tuners.chosen import CHOSEN_CSV, Chosen, write_chosen

SPACE = {"learning_rate": {"_type": "uniform", "_value": [0.01, 0.1]}}
TINY = {"model": "test_resnet.r160_in1k", "weights": "none", "image_size": "32x32"}
WHY = "can't win after epoch 2: predicted 0.3, at most 0.4 (5 standard deviations), the best finished 0.6"
CHOICES = [
    Chosen(0, 0, "a", "default", state="complete", score=0.5, epochs=2),
    Chosen(1, 1, "b", "start-up", state="complete", score=0.6, epochs=2),
    Chosen(2, 2, "c", "model", 0.0125, 0.55, 0.05, state="pruned", epochs=2, why=WHY),
    Chosen(3, 3, "", "model", 0.01, 0.5, 0.05),
]
WORDS = (
    "The model chose 1 of 3 recipes; the others: 1 the default, 1 spread over the space at the start; "
    "stopped because they could not win any more: 1."
)


@pytest.fixture
def experiment(tmp_path):
    found = Experiment("abc", "tiny", make_experiment(tmp_path / "abc", SPACE))
    for trial, rate, score in (("a", 0.01, 0.5), ("b", 0.05, 0.6)):
        finished(record(found.folder, trial, {"learning_rate": rate}), TINY | {"learning_rate": rate}, score)
    run = record(found.folder, "c", {"learning_rate": 0.1}, "EARLY_STOPPED")
    finished(run, TINY | {"learning_rate": 0.1}, 0.3, "stopped_early", reason=OUTSIDE)
    return found


def test_the_table_says_who_chose_each_and_why_one_was_stopped(experiment):
    write_chosen(experiment.folder, CHOICES)
    table = trial_table(experiment)
    assert list(table["chosen_by"]) == ["default", "start-up", "model"]
    assert table["expected_improvement"].isna().tolist() == [True, True, False]
    assert table["expected_improvement"].iloc[2] == 0.0125
    assert table["reason"].iloc[2] == f"stopped by the assessor: {WHY}"
    assert table.attrs["chosen"] == WORDS
    assert not {"chosen_by", "expected_improvement"} & set(recipe_columns(table))
    assert rank(table).default["trial"] == "a"


def test_terminal_csv_and_report_say_it(experiment, tmp_path, capsys):
    write_chosen(experiment.folder, CHOICES)
    ranking = rank(trial_table(experiment))
    print_trials(ranking)
    printed = capsys.readouterr().out
    assert WORDS in printed
    assert "chosen by" in printed
    written = pd.read_csv(write_trials(ranking, tmp_path / "trials.csv"))
    assert list(written["chosen_by"]) == ["start-up", "default", "model"]
    page = write_experiment_report(experiment, tmp_path / "report.html", ranking, None).read_text()
    assert WORDS in page
    assert "chosen by" in page
    assert "at most 0.4 (5 standard deviations)" in page


def test_a_trial_that_the_file_does_not_name(experiment):
    write_chosen(experiment.folder, CHOICES[:1])
    assert trial_table(experiment)["chosen_by"].fillna("").tolist() == ["default", "", ""]


def test_an_experiment_without_the_file_shows_nothing(experiment, tmp_path, capsys):
    ranking = rank(trial_table(experiment))
    print_trials(ranking)
    assert "chosen" not in capsys.readouterr().out
    assert "chosen_by" not in write_trials(ranking, tmp_path / "trials.csv").read_text()
    page = write_experiment_report(experiment, tmp_path / "report.html", ranking, None).read_text()
    assert "chosen by" not in page
    assert ranking.table["reason"].iloc[2] == "stopped by the assessor"


def test_a_damaged_file_is_named(experiment):
    (experiment.folder / CHOSEN_CSV).write_text("number,trial\nx,y\n")
    table = trial_table(experiment)
    assert f"{CHOSEN_CSV}: is damaged" in table.attrs["chosen"]
    assert "chosen_by" not in table and len(table), "all else is there"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ([], ""),
        (["default"], "The model chose 0 of 1 recipe; the others: 1 the default."),
        (["default", "first", "model"], "The model chose 1 of 3 recipes; the others: 1 the default, 1 known good."),
        (["model"] * 2, "The model chose 2 of 2 recipes."),
        (["random", "grid", "imported"],
         "The model chose 0 of 3 recipes; the others: 1 at random, 1 in the grid's order, 1 imported."),
    ],
)  # fmt: skip
def test_the_sentence(by, words):
    assert choice_words([Row("", word) for word in by]) == words


def test_a_recipe_that_was_asked_for_ahead_does_not_count():
    begun, ahead = Row("a", "model", state="running"), Row("", "model", state="running")
    assert choice_words([begun, ahead]) == "The model chose 1 of 1 recipe."


@pytest.mark.parametrize(
    ("tuner", "is_first"),
    [("tuners.search.Search", True), ("tuners.default_first.DefaultFirstTPE", True), ("mine.Search", False)],
)
def test_the_tuners_that_start_with_the_default(tmp_path, tuner, is_first):
    found = Experiment("abc", "tiny", make_experiment(tmp_path / "abc", SPACE, tuner=tuner))
    table = trial_table(found)
    assert table.attrs["default_first"] is is_first
    assert ("default" in rank(table).roles(None)) is is_first  # else a page says that it has not finished
