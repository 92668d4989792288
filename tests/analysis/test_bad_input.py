"""Damaged or unfit files end a command with exit code 2 and a message that names the file and the difference."""

import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import app
from dataset.task import Task
from tests.analysis import example_search
from tests.analysis.fake_run import untrained
from tests.conftest import call
from trial.run_folder.predictions import probability_columns

COLUMNS = probability_columns(18)


def refused(*words):
    done = call(app, *words)
    assert done.exit_code == 2, done.stdout
    return done.stderr


def runs(folder, **changed):
    """Two runs with the same validation answers; those of the second one are changed."""
    table = example_search.validation(70)
    untrained(folder / "a", 0, table)
    untrained(folder / "b", 1, table.assign(**changed))
    return folder / "a", folder / "b"


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "1 photo with a probability that is not a number"), (0.7, "1 photo whose probabilities do not sum to 1")],
)  # fmt: skip
def test_probabilities_that_cannot_be_right(people, tmp_path, value, words):
    first = example_search.validation(70)["p00"].to_numpy().copy()
    first[3] = value
    both = runs(tmp_path, p00=first)
    for command in (("ensemble", *both), ("predict", both[1])):
        said = refused(*command, "--data", people, "--out", tmp_path / "out")
        assert f"{both[1] / 'validation.parquet'}: {words}" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_runs_of_other_data_are_not_fitted_together(people, tmp_path):
    table = example_search.validation(70)
    both = runs(
        tmp_path, photo=["new/" + name if row < 14 else name for row, name in enumerate(table["photo"])]
    )
    labels = tmp_path / "labels"
    untrained(labels, 2, table.assign(label=table["label"].where(table.index > 0, (table["label"] + 1) % 18)))
    for way in ("greedy", "stacking"):
        said = refused("ensemble", *both, "--vote", way, "--data", people, "--out", tmp_path / "out")
        assert f"--vote {way} is fitted" in said and "the validation of b has 14 photos" in said
        assert "has 14 photos that a lacks, and lacks 14 of its photos" in said
    said = refused(
        "ensemble", both[0], labels, "--vote", "greedy", "--data", people, "--out", tmp_path / "out"
    )
    assert "has other labels of 1 photos" in said
    done = call(app, "ensemble", *both, "--data", people, "--out", tmp_path / "voted")
    assert done.exit_code == 0 and "validation of the vote: none, as the validation of b has " in done.stdout


def test_folds_that_miss_people(people, tmp_path):
    whole, _ = runs(tmp_path / "whole")
    for name in "ab":
        untrained(tmp_path / name, 0, folds=(0, 1, 2), values={"fold": "all", "folds": 3})
        shutil.copy(whole / "validation.parquet", tmp_path / name)
    said = refused("ensemble", tmp_path / "a", tmp_path / "b", "--data", people, "--out", tmp_path / "out")
    assert f"{tmp_path / 'b' / 'validation.parquet'}: has answers for only 1 of 3 folds (0)" in said


def test_runs_of_other_classes(people, tmp_path):
    home, _ = runs(tmp_path)
    table = example_search.validation(70).drop(columns=COLUMNS[2:])
    table = table.assign(p01=1 - table["p00"], label=table["label"] % 2)
    untrained(tmp_path / "ill", 0, table, task=Task("photos", ("ill", "well")))
    for command, words in (("ensemble", "2 instead of 18"), ("soup", "has 2 classes")):
        said = refused(command, home, tmp_path / "ill", "--data", people, "--out", tmp_path / "out")
        assert words in said and str(tmp_path / "ill") in said


def test_answers_of_other_photos_than_the_submission(people, tmp_path):
    given, answers = tmp_path / "submission.csv", tmp_path / "answers.csv"
    pd.DataFrame({"ImageID": ["a.jpg", "b.jpg"], "ans": [0, 1]}).to_csv(given, index=False)
    pd.DataFrame({"ImageID": ["a.jpg", "c.jpg"], "ans": [0, 1]}).to_csv(answers, index=False)
    said = refused("score", given, answers)
    assert f"{given}: ImageID differs from {answers} (1 missing, 1 unknown: missing ['c.jpg']" in said


def test_photos_to_predict_that_are_missing(people, tmp_path):
    run, _ = runs(tmp_path)
    shutil.copytree(people, tmp_path / "set")
    lost = sorted((tmp_path / "set" / "eval" / "images").iterdir())[0]
    lost.unlink()
    for command in (("predict", run), ("ensemble", *runs(tmp_path / "two"))):
        said = refused(*command, "--data", tmp_path / "set", "--out", tmp_path / "out")
        assert lost.name in said and "info.csv" in said


@pytest.mark.parametrize("command", ["predict", "ensemble"])
def test_what_is_done_with_the_predictions_is_checked_before_any(people, tmp_path, command):
    both = runs(tmp_path)[: 2 if command == "ensemble" else 1]
    place = ("--data", people, "--out", tmp_path / "out")
    assert "did you mean macro_f1" in refused(command, *both, *place, "--decide", "macrof1")
    said = refused(command, *both, *place, "--combine-photos")
    assert "do not say which of them are of the same person" in said
    untrained(tmp_path / "all", 3)
    untrained(tmp_path / "more", 4)
    retrained = [tmp_path / "all", tmp_path / "more"][: len(both)]
    said = refused(command, *retrained, *place, "--decide", "macro_f1")
    assert "--decide macro_f1: there are no validation answers" in said
    assert not (tmp_path / "out").exists()
