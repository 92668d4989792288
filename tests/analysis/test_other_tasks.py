"""Sets of 2 and of 40 classes, in other formats and with other groups, from a recipe down to a score."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import app
from analysis.ensemble import ensemble
from analysis.pipeline import export_best_and_retrain, retrain_and_submit
from analysis.predict.trained import predict
from analysis.predict.validation import worth
from analysis.prediction import predict_and_submit
from analysis.recipes import Recipe, read_recipe
from analysis.report.run import write_run_report
from analysis.score import score_submission
from analysis.submission import read_predictions
from analysis.trials.table import Experiment
from common.errors import UsageError
from dataset.read import read_eval
from dataset.task import Task
from tests.analysis import other_tasks
from tests.analysis.fake_experiment import make_experiment, record
from tests.analysis.fake_run import untrained
from tests.conftest import TINY, call
from trial.config import parse
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

ILL = {**TINY, "group": "patient", "learning_rate": 0.01}


@pytest.fixture(scope="module")
def patients(tmp_path_factory) -> Path:
    return other_tasks.two_classes(tmp_path_factory.mktemp("two") / "set")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> Path:
    return other_tasks.forty_classes(tmp_path_factory.mktemp("forty") / "set")


@pytest.fixture(scope="module")
def trial(patients, tmp_path_factory) -> Path:
    """A trial on patients, of all folds."""
    folder = tmp_path_factory.mktemp("trials") / "ill"
    config = parse({**ILL, "data": str(patients), "fold": "all", "folds": 3})
    writer = RunWriter(folder, config)
    run(config, writer, lambda report: None)
    writer.end("done")
    return folder


def about_of(out: Path) -> dict:
    return json.loads((out / "submission.json").read_text())


@pytest.mark.slow
def test_two_classes_are_retrained_voted_on_and_scored(patients, tmp_path, capsys):
    for seed in (0, 1):
        retrain_and_submit(Recipe({**ILL, "seed": seed, "epochs": 4}), patients, tmp_path / str(seed), {})
    assert "retraining on all patients" in capsys.readouterr().out
    about = about_of(tmp_path / "0")
    assert about["rule"]["photos"].startswith("all patients")
    assert Task.from_json(about["task"]) == RunFolder(tmp_path / "0").task()
    assert (about["task"]["classes"], about["task"]["groups"]) == (["ill", "well"], "patients")
    assert [row["training_fraction"] for row in about["answers"]] == [0.3333, 0.6667]
    path = ensemble([tmp_path / "0", tmp_path / "1"], patients, tmp_path / "vote")
    assert [row["ans"] for row in about_of(tmp_path / "vote")["answers"]] == ["ill", "well"]
    assert "task" not in about_of(tmp_path / "vote")["members"][0]
    given = pd.read_csv(path)
    assert list(given["ImageID"]) == list(read_eval(patients, "patient")["photo"])
    assert set(given["ans"]) <= {"ill", "well"}
    predictions = read_predictions(tmp_path / "vote" / "predictions.csv")
    assert list(predictions.columns) == ["ImageID", "ans", "p00", "p01"]
    assert list(predictions["ans"]) == list(given["ans"])
    scores = score_submission(path, patients)
    assert scores["accuracy"] == np.mean(given["ans"] == read_eval(patients, "patient")["class"])
    assert scores["macro_f1"] > 0.9, "the two colours are easily told apart"
    assert list(scores["recall"]) == ["ill", "well"]
    assert scores["recall_rare"] is None


@pytest.mark.slow
def test_forty_classes_are_retrained_predicted_and_scored(kinds, tmp_path):
    recipe = Recipe({**TINY, "epochs": 3, "learning_rate": 0.01})
    probabilities, about = retrain_and_submit(recipe, kinds, tmp_path / "run", {})
    assert probabilities.shape == (40, 40)
    assert [row["class"] for row in about["answers"]] == other_tasks.CLASSES, "kind 10 comes after kind 9"
    again, _ = predict_and_submit(tmp_path / "run", kinds, tmp_path / "out", "flip")
    assert again.shape == (40, 40)
    untrained(tmp_path / "other", 1, task=RunFolder(tmp_path / "run").task())
    path = ensemble([tmp_path / "run", tmp_path / "other"], kinds, tmp_path / "vote", "hard")
    scores = score_submission(path, kinds)
    given = pd.read_csv(path)
    assert scores["accuracy"] == np.mean(given["ans"] == given["ImageID"].str.partition("/")[0])
    assert len(scores["recall"]) == 40
    said = call(app, "score", path, kinds).stdout
    assert said.count("recall kind") == 40
    assert read_predictions(tmp_path / "vote" / "predictions.csv").shape == (40, 42)


@pytest.mark.slow
def test_the_best_trials_of_another_task_are_retrained(patients, trial, tmp_path):
    folder = make_experiment(tmp_path / "abc", {"seed": {"_type": "choice", "_value": [0]}})
    shutil.copytree(trial, record(folder, "t0", {"seed": 0}))
    export_best_and_retrain(Experiment("abc", "ill", folder), patients, tmp_path / "out")
    assert score_submission(tmp_path / "out" / "submission.csv", patients)["photos"] == 16
    page = (tmp_path / "out" / "report.html").read_text()
    assert "over all 2 classes" in page
    assert "12 validation patients" in page


@pytest.mark.slow
def test_a_trial_of_all_folds_promises_for_all_patients(patients, tmp_path, capsys):
    values = {**ILL, "metric": "log_loss", "fold": "all", "folds": 3, "epochs": 1}
    config = parse({**values, "data": str(patients)})
    with RunWriter(tmp_path / "trial", config) as writer:
        run(config, writer, lambda report: None)
    recipe = read_recipe(tmp_path / "trial" / "config.json")
    _, about = retrain_and_submit(recipe, patients, tmp_path / "out", {"cache_limit": 0}, learning_curve=True)
    promise, trial = about["promise"], about["promise"]["of_the_trial"]
    assert promise["learning_curve"]["trained_on"] == {"smaller": 5, "trial": 8, "all": 12}
    assert promise["low"] <= promise["negative_log_loss"] <= promise["high"] <= 0
    gain = promise["learning_curve"]["gain"]
    assert promise["negative_log_loss"] == pytest.approx(min(0, trial["negative_log_loss"] + gain), abs=2e-4)
    assert "trained on all 12, by the learning curve" in capsys.readouterr().out


def test_a_trials_page_is_in_the_words_of_its_task(trial, tmp_path):
    page = write_run_report(tmp_path / "r.html", trial).read_text()
    for words in (
        "12 patients, 48 photos",
        "All patients, each predicted by",
        '<th class="number">patients</th>',
    ):
        assert words in page
    assert "Recall of" not in page, "no class is rare"
    assert "people" not in page.partition("plotly.js v")[0]


def test_views_are_measured_on_the_runs_own_groups(patients, people, trial, tmp_path, capsys):
    _, about = predict_and_submit(trial, patients, tmp_path / "out", "flip")
    assert about["validation"]["macro_f1_by_tta"]["none"] == RunFolder(trial).status()["macro_f1"]
    assert "validation patients: macro-F1" in capsys.readouterr().out
    shutil.copytree(trial, copy := tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"group": ""}))
    assert worth(copy, people, "flip") is None
    said = capsys.readouterr().out
    assert "not measured on validation patients: " in said
    assert "other classes (18 instead of 2; unknown: " in said


def test_runs_of_other_classes_do_not_vote(patients, trial, tmp_path):
    untrained(tmp_path / "home")
    with pytest.raises(UsageError) as error:
        ensemble([trial, tmp_path / "home"], patients, tmp_path / "out")
    (message,) = error.value.errors
    assert "home: predicts other classes (18 instead of 2; unknown: wear male <30, " in message
    assert "without ill, well" in message
    assert not (tmp_path / "out").exists()


def test_a_set_without_photos_to_predict_is_refused_before_training(kinds, tmp_path):
    shutil.copytree(kinds / "train", tmp_path / "set" / "train")
    untrained(tmp_path / "a", task=Task("photos", tuple(other_tasks.CLASSES)))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for way in (
        lambda out: retrain_and_submit(Recipe(TINY), tmp_path / "set", out, {}),
        lambda out: predict_and_submit(tmp_path / "a", tmp_path / "set", out),
        lambda out: ensemble([tmp_path / "a", tmp_path / "b"], tmp_path / "set", out),
    ):
        with pytest.raises(UsageError, match="has no photos to predict; put them into"):
            way(tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"head": "factors"}, "head=factors: this set has no factors"),
        ({"corrections": "competition"}, "corrections=competition: only the face-mask task has them"),
        ({"borders": "drop"}, "borders"),
        ({"group": "(["}, "not a regular expression"),
    ],
)
def test_what_the_sets_task_lacks_is_refused_before_training(kinds, tmp_path, values, words):
    with pytest.raises(UsageError) as error:
        retrain_and_submit(Recipe({**TINY, **values}), kinds, tmp_path / "out", {})
    assert words in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_photos_is_predicted_by_a_run_of_any_task(patients, trial, tmp_path):
    probabilities, about = predict_and_submit(trial, None, tmp_path / "out", images=patients / "photos")
    assert probabilities.shape == (64, 2)
    assert {row["class"] for row in about["answers"]} == {"ill", "well"}
    photos = read_eval(patients, "patient")
    names = [Path(photo).name for photo in photos["photo"]]
    rows = pd.read_csv(tmp_path / "out" / "submission.csv")["ImageID"].isin(names)
    assert probabilities[rows] == pytest.approx(predict(trial, photos), abs=1e-5)
