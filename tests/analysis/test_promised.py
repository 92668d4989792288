"""What a submission.json promises: nothing of a changed recipe; a vote, its best member's by that name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.pipeline import export_best_and_retrain, retrain_and_submit
from analysis.predict.validation import validated_run
from analysis.ready import Ready, Training
from analysis.recipes import Recipe, labels_of, read_recipe
from analysis.report.run import write_run_report
from analysis.report.run_facts import alarms_of
from analysis.submission import read_about
from analysis.submit import about_kept, about_run, about_vote, lowered, submit
from analysis.trust.leaders import promised_words
from common.files import write_json
from dataset.face_masks.labels import FACE_MASK
from dataset.fingerprint import fingerprint
from dataset.read import read_eval
from dataset.task import Task
from tests.analysis import example_search
from tests.analysis.fake_experiment import trained
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.config import parse
from trial.run_folder.predictions import with_probabilities
from trial.run_folder.record import RunFolder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Of a run with validation answers and a curve."""
    folder = tmp_path_factory.mktemp("runs") / "trial"
    untrained(folder, 0, example_search.validation(30))
    (folder / "epochs.csv").write_text("epoch,macro_f1,fold\n1,0.2,0\n2,0.1,0\n")
    return read_recipe(folder / "config.json")


def ready(data: Path, *trainings: Training) -> Ready:
    return Ready(trainings, data, FACE_MASK, read_eval(data), None)


def test_a_changed_recipe_has_no_promise_and_no_validation(recipe, people, tmp_path, capsys):
    untrained(tmp_path / "changed", values={"epochs": 50})
    about = about_run(tmp_path / "changed", recipe)
    assert (about["validation"], "promise" in about, "trial_folder" in about) == ({}, False, False)
    assert about["no_promise"] == "another recipe than was validated: epochs=50 (validated: 2)"
    assert alarms_of(None, about) == [f"Nothing is promised: {about['no_promise']}."]
    trainings = [Training(recipe, parse({**TINY, "epochs": epochs}), None) for epochs in (2, 50)]
    assert not ready(people, *trainings).print_promised()
    assert capsys.readouterr().out == f"no promise: {about['no_promise']}\n"


def test_where_it_runs_and_labels_for_photos_to_predict_change_no_promise(recipe, tmp_path):
    same = {**TINY, "device": "cpu", "threads": 2, "epochs": 2, "train_fraction": 0.5}
    assert recipe.unpromised(parse(same), FACE_MASK.classes) == ""
    assert Recipe(recipe.recipe).unpromised(parse({**TINY, "epochs": 50}), "ab") == "", "it never had one"
    corrected = parse({**TINY, "corrections": "competition", "mixing": "mixup"})
    said = recipe.unpromised(corrected, FACE_MASK.classes)
    assert "corrections=competition (validated: none)" in said and '(validated: {"_name": "none"})' in said
    untrained(tmp_path / "same")
    about = about_run(tmp_path / "same", recipe)
    assert about["validation"] == recipe.scores and about["trial_folder"] == str(recipe.folder)
    assert about["promise"]["chosen_from"] == 1 and "no_promise" not in about


def test_a_recipe_that_is_trained_on_other_classes_has_no_promise(recipe, tmp_path):
    """Also one whose JSON alone is known."""
    again = untrained(tmp_path / "again").folder
    write_json(again / "task.json", Task("photos", ("ill", "well")).to_json())
    for one in (recipe, read_recipe(recipe.write(tmp_path / "1.json"))):
        about = about_run(again, one)
        assert about["no_promise"] == "the recipe was validated on other classes"
        assert about["validation"] == {} and not {"promise", "trial_folder"} & about.keys()
    old = {name: value for name, value in recipe.origin.items() if name != "classes"}
    assert replace(recipe, origin=old).unpromised(parse(TINY), ("ill", "well")) == ""


def test_corrections_that_changed_since_have_no_promise(recipe, tmp_path):
    labels = tmp_path / "corrections.csv"
    labels.write_text("id,field,recorded,corrected\n")
    values = {**TINY, "epochs": 2, "corrections": str(labels)}
    config = parse(values)
    validated = replace(recipe, recipe=config.recipe(), origin={"label_files": labels_of(config)})
    assert validated.unpromised(config, FACE_MASK.classes) == ""
    labels.write_text("id,field,recorded,corrected\n000001,gender,male,female\n")
    assert validated.unpromised(config, FACE_MASK.classes) == (
        f"another recipe than was validated: corrections={labels} holds other labels"
    )


def test_another_teacher_is_named_once(recipe, tmp_path):
    configs = []
    for name in "ab":
        untrained(tmp_path / name, 0, example_search.validation(30))
        teacher = {"_name": "out_of_fold", "runs": str(tmp_path / name)}
        configs.append(parse({**TINY, "epochs": 2, "teacher": teacher}))
    first, other = configs
    validated = replace(recipe, recipe=first.recipe(), origin={"label_files": labels_of(first)})
    assert validated.unpromised(first, FACE_MASK.classes) == ""
    said = validated.unpromised(other, FACE_MASK.classes)
    assert ": teacher={" in said and "holds other labels" not in said
    (tmp_path / "a" / "validation.parquet").write_bytes(b"others")
    assert validated.unpromised(first, FACE_MASK.classes) == (
        f"another recipe than was validated: teacher.runs={tmp_path / 'a'} holds other labels"
    )


def test_what_was_validated_on_other_photos_is_said(recipe, people, tmp_path, capsys):
    same = replace(recipe, origin={"data_fingerprint": fingerprint(people)})
    assert ready(people, Training(same, parse(TINY), None)).print_promised()
    assert capsys.readouterr().out == ""
    assert ready(people, Training(recipe, parse(TINY), None)).print_promised()
    assert "note: validated on other photos than those in " in capsys.readouterr().out
    words = "It was validated on other photos than it is trained on"
    for mark in ("f" * 64, "e" * 64):
        run = untrained(tmp_path / mark[0], mark=mark).folder
        page = write_run_report(run / "r.html", run, about_run(run, recipe)).read_text()
        assert (words in page) == (mark[0] == "e")


def test_the_searchs_promise_is_that_of_a_recipe_that_was_exported(recipe, tmp_path):
    """It lies in the recipe's JSON."""
    promise = {"macro_f1": 0.3, "low": 0.2, "high": 0.4, "chosen_from": 7, "corrected_by": 0.05}
    path = replace(recipe, origin=recipe.origin | {"promise": promise}).write(tmp_path / "1.json")
    untrained(tmp_path / "retrained")
    about = about_run(tmp_path / "retrained", read_recipe(path))
    assert about["promise"] == promise and about["validation"]


def test_a_recipe_that_was_exported_asks_its_trial_as_long_as_it_is_there(recipe, tmp_path, capsys):
    """So that it has a decision layer, measured views and the like."""
    assert read_recipe(recipe.write(tmp_path / "1.json")).folder == recipe.folder
    assert capsys.readouterr().out == ""
    assert Path(recipe.origin["folder"]).is_absolute(), "it is not in the project"
    gone = replace(recipe, origin=recipe.origin | {"folder": "out/experiments/gone"})
    assert read_recipe(gone.write(tmp_path / "2.json")).folder is None
    said = capsys.readouterr().out
    assert said.startswith(
        "note: there are no validation answers for this recipe, so no decision layer, and "
    )
    assert "there is no promise: " in said and "is gone; if it is on another machine, copy its run" in said
    promised = replace(gone, origin=gone.origin | {"promise": {"macro_f1": 0.3}})
    assert read_recipe(promised.write(tmp_path / "3.json")).origin["promise"]
    assert "and the promise is its file's: " in capsys.readouterr().out
    wrong = replace(recipe, recipe=recipe.recipe | {"epochs": "many"})
    assert read_recipe(wrong.write(tmp_path / "5.json")).folder is None
    said = capsys.readouterr().out
    assert "'many'" in said and "another machine" not in said, "key=value may mend it"
    early = {name: value for name, value in recipe.origin.items() if name != "folder"}
    assert read_recipe(replace(recipe, origin=early).write(tmp_path / "4.json")).folder is None
    assert capsys.readouterr().out == ""


def test_nothing_is_promised_of_a_recipe_file_that_was_edited(recipe, tmp_path, capsys):
    origin = recipe.origin | {"promise": {"macro_f1": 0.3, "low": 0.2, "high": 0.4}}
    edited = replace(recipe, recipe=recipe.recipe | {"learning_rate": 0.5}, origin=origin)
    read = read_recipe(edited.write(tmp_path / "1.json"))
    assert capsys.readouterr().out == (
        "note: nothing is promised of this recipe, and it has no validation answers: it differs from the "
        f"recipe of the trial in {recipe.folder}: learning_rate=0.5 (validated: 0.003)\n"
    )
    untrained(tmp_path / "again", values={"learning_rate": 0.5})
    about = about_run(tmp_path / "again", read)
    assert read.folder is None and about["validation"] == {} and "promise" not in about


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
    changed = about_vote(first, [first, first | {"no_promise": "another recipe"}], None, "macro_f1")
    assert changed["no_promise"] == changed["validation"]["none"] == "another recipe"


def test_a_promise_is_lowered_by_what_views_and_combining_lose():
    """Also where both are better together, as is not known; a gain raises nothing."""
    promise = {"macro_f1": 0.5, "low": 0.05, "high": 0.7, "chosen_from": 1, "corrected_by": 0.02}
    views = {"macro_f1_by_tta": {"none": 0.6, "flip": 0.5}}
    about = {"promise": promise, "validation": views}
    assert lowered(about, "macro_f1")["promise"] == promise | {
        "macro_f1": 0.4, "low": 0.0, "high": 0.6, "lowered_by": 0.1, "lowered_for": "--tta flip"
    }  # fmt: skip
    combined = {"validation_alone": 0.6, "validation": 0.55}
    both = lowered(about | {"combined_photos": combined}, "macro_f1")["promise"]
    assert (both["macro_f1"], both["lowered_for"]) == (0.35, "--tta flip and --combine-photos")
    gained = about | {"validation": {"macro_f1_by_tta": {"none": 0.5, "flip": 0.6}}}
    assert lowered(gained, "macro_f1") == gained
    once = lowered(about, "macro_f1")
    assert lowered(once, "macro_f1") == once, "as a member's, whose submission.json becomes that of the whole"
    vote = {"promise_of_best_member": once["promise"], "combined_photos": combined}
    found = lowered(vote, "macro_f1")["promise_of_best_member"]
    assert (found["macro_f1"], found["lowered_by"]) == (0.35, 0.15), "as its own views lose, too"
    assert found["lowered_for"] == "--tta flip and --combine-photos"


def test_the_promise_of_what_is_submitted_is_printed(retrained, people, tmp_path, capsys):
    """Lowered, and once: a member's is its vote's."""
    _, again = retrained
    about = about_kept(again) | {"combined_photos": {"validation_alone": 0.6, "validation": 0.55}}
    photos = read_eval(people)
    given = photos, np.full((len(photos), 18), 1 / 18)
    submit(tmp_path / "member", *given, about, [again], table=False)
    assert "promise" not in capsys.readouterr().out
    kept = submit(tmp_path / "out", *given, about, [again])["promise"]
    assert kept["macro_f1"] == pytest.approx(about["promise"]["macro_f1"] - 0.05)
    said = f"promise: {promised_words(kept, 'macro_f1', 'people')}\n"
    assert said in capsys.readouterr().out and "and by 0.050 that --combine-photos loses" in said


@pytest.mark.slow
def test_the_last_step_promises_nothing_of_changed_recipes(people, tmp_path, capsys):
    experiment = trained(tmp_path / "xyz", people)
    export_best_and_retrain(experiment, people, tmp_path / "out", values={"epochs": 1})
    said, about = capsys.readouterr().out, json.loads((tmp_path / "out" / "submission.json").read_text())
    assert "no promise: another recipe than was validated: epochs=1 (validated: 2)" in said
    assert "Promise of" not in said
    assert not {"promise", "equal_within_noise"} & about.keys() and about["validation"] == {}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Nothing is promised: another recipe" in page and "Promised on new" not in page
    assert "Promise of" not in page


@pytest.mark.slow
def test_the_last_step_lowers_a_promise_by_what_views_lose_for_each_network(
    people, tmp_path, monkeypatch, capsys
):
    """Also where their trials share no validation people."""

    def worse(run, trained, data, tta, *_):
        table = RunFolder(run).validation()
        wrong = np.roll(np.eye(18), 1, axis=1)[table["label"]]
        return with_probabilities(table, wrong)

    monkeypatch.setattr("analysis.predict.validation.predict_validation", worse)
    experiment, out = trained(tmp_path / "xyz", people), tmp_path / "out"
    export_best_and_retrain(experiment, people, out, 2, tta="flip")
    about, said = read_about(out), capsys.readouterr().out
    for member in about["members"]:
        views = member["validation"]["macro_f1_by_tta"]
        assert views == {"none": member["validation"]["macro_f1"], "flip": 0.0}
        assert member["promise"]["lowered_by"] == pytest.approx(views["none"], abs=1e-4)
    best = about["promise_of_best_member"]
    assert best == about["members"][0]["promise"] and best["lowered_for"] == "--tta flip"
    assert said.count("0.0000 with --tta flip; a promise is lowered by the difference") == 2
    assert f"promise of best member: {promised_words(best, 'macro_f1', 'people')}" in said
    assert "since --tta flip loses" in (out / "report.html").read_text()
    trial = read_recipe(experiment.folder / "trials" / "t0" / "config.json")
    _, alone = retrain_and_submit(trial, people, tmp_path / "alone", {}, tta="flip")
    assert alone["promise"]["lowered_for"] == "--tta flip"


@pytest.fixture
def retrained(tmp_path):
    """(The run folder of a trial, that of its network retrained on all, with a submission.json)."""
    trial = untrained(tmp_path / "trial", 0, example_search.validation(30)).folder
    (trial / "epochs.csv").write_text("epoch,macro_f1,fold\n1,0.2,0\n2,0.1,0\n")
    again = untrained(tmp_path / "again").folder
    write_json(again / "submission.json", about_run(again, read_recipe(trial / "config.json")))
    return trial, again


def test_the_trial_of_a_retrained_network_is_found_from_any_folder(tmp_path, monkeypatch):
    untrained(tmp_path / "trial", 0, example_search.validation(30))
    again = untrained(tmp_path / "again").folder
    monkeypatch.chdir(tmp_path)
    write_json(again / "submission.json", about_run(again, read_recipe(Path("trial/config.json"))))
    monkeypatch.chdir("/")
    assert validated_run(again) == tmp_path / "trial"


@pytest.mark.parametrize("change", ["recipe", "classes", "photos", "gone", "damaged"])
def test_what_lies_in_the_trials_folder_now_is_asked_only_if_it_is_that_trial(retrained, capsys, change):
    trial, again = retrained
    assert validated_run(again) == trial and capsys.readouterr().out == ""
    config = json.loads((trial / "config.json").read_text())
    words = {
        "recipe": f"it differs from the recipe of the trial in {trial}: learning_rate=",
        "classes": "the trial whose recipe this is: other classes",
        "photos": "the trial whose recipe this is: other photos",
        "gone": "trial, the trial whose recipe this is, is gone",
        "damaged": "config.json: is damaged",
    }[change]
    if change == "recipe":
        write_json(trial / "config.json", config | {"learning_rate": 0.5})
    elif change == "classes":
        write_json(trial / "task.json", Task("photos", ("ill", "well")).to_json())
    elif change == "photos":
        write_json(trial / "origin.json", RunFolder(trial).origin() | {"data_fingerprint": "e" * 64})
    elif change == "gone":
        shutil.rmtree(trial)
    else:
        (trial / "config.json").write_text("{")
    assert validated_run(again) is None
    said = capsys.readouterr().out
    assert said.startswith("note: there are no validation answers for this network: ") and words in said
    page = write_run_report(again / "r.html", again, read_about(again)).read_text()
    assert words in page and "Its validation and curve are not shown: " in page


def test_what_a_prediction_does_not_promise_its_network_still_does(retrained, people, tmp_path):
    """A decision by another metric, and a temperature, change predictions, not what the network promises."""
    _, again = retrained
    about = about_kept(again)
    assert about["promise"] and about["validation"]
    (again / "submission.json").unlink()
    photos = read_eval(people)
    probabilities = np.full((len(photos), 18), 1 / 18)
    views = {"macro_f1_by_tta": {"none": 0.1, "flip": 0.2}}
    submitted = about | {"no_promise": "not validated", "validation": about["validation"] | views}
    written = submit(again, photos, probabilities, submitted, [again])
    assert (written["validation"], "promise" in written, written["no_promise"]) == (
        views,
        False,
        "not validated",
    )
    whole = submit(tmp_path / "whole", photos, probabilities, written, [again])
    assert whole["of_the_network"] == written["of_the_network"], "as of a search's best, a member in best/1"
    kept = about_kept(again)
    assert (kept["validation"], kept["promise"]) == (about["validation"], about["promise"])
    assert not {"no_promise", "of_the_network"} & kept.keys()
