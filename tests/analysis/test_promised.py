"""What a submission.json promises: nothing of a changed recipe; a vote, its best member's by that name."""

import json
from dataclasses import replace

import pytest

from analysis.pipeline import export_best_and_retrain
from analysis.recipes import Recipe, read_recipe
from analysis.report.run_facts import alarms_of
from analysis.submit import about_run, about_vote, print_unpromised
from tests.analysis import example_search
from tests.analysis.fake_experiment import trained
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.config import parse


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Of a run with validation answers and a curve."""
    folder = tmp_path_factory.mktemp("runs") / "trial"
    untrained(folder, 0, example_search.validation(30))
    (folder / "epochs.csv").write_text("epoch,macro_f1,fold\n1,0.2,0\n2,0.1,0\n")
    return read_recipe(folder / "config.json")


def test_a_changed_recipe_has_no_promise_and_no_validation(recipe, tmp_path, capsys):
    untrained(tmp_path / "changed", values={"epochs": 50})
    about = about_run(tmp_path / "changed", recipe)
    assert (about["validation"], "promise" in about, "trial_folder" in about) == ({}, False, False)
    assert about["no_promise"] == "another recipe than was validated: epochs=50 (validated: 2)"
    assert alarms_of(None, about) == [f"Nothing is promised: {about['no_promise']}."]
    assert print_unpromised([recipe, recipe], [parse(TINY), parse({**TINY, "epochs": 50})])
    assert capsys.readouterr().out == f"no promise: {about['no_promise']}\n"


def test_where_it_runs_and_labels_for_photos_to_predict_change_no_promise(recipe, tmp_path):
    same = {**TINY, "device": "cpu", "threads": 2, "epochs": 2, "train_fraction": 0.5}
    assert recipe.unpromised(parse(same)) == ""
    assert Recipe(recipe.recipe).unpromised(parse({**TINY, "epochs": 50})) == "", "it never had one"
    untrained(tmp_path / "same")
    about = about_run(tmp_path / "same", recipe)
    assert about["validation"] == recipe.scores and about["trial_folder"] == str(recipe.folder)
    assert about["promise"]["chosen_from"] == 1 and "no_promise" not in about


def test_the_searchs_promise_is_that_of_a_recipe_that_was_exported(recipe, tmp_path):
    """It lies in the recipe's JSON; the trial's folder is not known then."""
    promise = {"macro_f1": 0.3, "low": 0.2, "high": 0.4, "chosen_from": 7, "corrected_by": 0.05}
    path = replace(recipe, origin=recipe.origin | {"promise": promise}).write(tmp_path / "1.json")
    untrained(tmp_path / "retrained")
    about = about_run(tmp_path / "retrained", read_recipe(path))
    assert about["promise"] == promise and about["validation"]
    assert "trial_folder" not in about


def test_a_trial_that_predicts_has_a_promise_corrected_for_its_epoch(recipe):
    about = about_run(recipe.folder)
    assert about["promise"]["chosen_from"] == 1
    assert about["promise"]["low"] < about["promise"]["macro_f1"] < about["promise"]["high"]


def test_a_vote_has_the_promise_of_its_best_member_by_that_name(recipe):
    first = about_run(recipe.folder)
    table = example_search.validation(30)
    about = about_vote(first, [first, first], table, "macro_f1")
    assert "promise" not in about and about["promise_of_best_member"] == first["promise"]
    assert about["validation"]["photos"] == len(table) and "best_epoch" not in about["validation"]
    apart = about_vote({}, [first, first], None, "macro_f1")
    assert "no validation photos in common" in apart["validation"]["none"]
    assert not {"promise", "promise_of_best_member"} & apart.keys()


@pytest.mark.slow
def test_the_last_step_promises_nothing_of_changed_recipes(people, tmp_path, capsys):
    experiment = trained(tmp_path / "xyz", people)
    export_best_and_retrain(experiment, people, tmp_path / "out", values={"epochs": 1})
    said, about = capsys.readouterr().out, json.loads((tmp_path / "out" / "submission.json").read_text())
    assert "no promise: another recipe than was validated: epochs=1 (validated: 2)" in said
    assert "Promise of" not in said
    assert not {"promise", "equal_within_noise"} & about.keys() and about["validation"] == {}
    assert "Nothing is promised: another recipe" in (tmp_path / "out" / "report.html").read_text()
