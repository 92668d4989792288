import json

import numpy as np
import pandas as pd
import pytest

from analysis.submission import (
    read_predictions,
    score_line,
    score_submission,
    submission_errors,
    write_submission,
)
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.task import Task

PHOTOS = ["b.jpg", "a.jpg", "c.png"]
PROBABILITIES = np.eye(18)[[3, 0, 17]]


def test_a_submission_keeps_info_csvs_order_and_says_where_it_comes_from(tmp_path):
    path = write_submission(tmp_path, PHOTOS, PROBABILITIES, {"recipe": {"model": "x"}}, FACE_MASK)
    assert path.read_text() == "ImageID,ans\nb.jpg,3\na.jpg,0\nc.png,17\n"
    about = json.loads((tmp_path / "submission.json").read_text())
    assert Task.from_json(about.pop("task")) == FACE_MASK
    assert about == {"recipe": {"model": "x"}, "photos": 3}
    assert submission_errors(path, PHOTOS, FACE_MASK) == []


def test_nothing_is_overwritten(tmp_path):
    write_submission(tmp_path, PHOTOS, PROBABILITIES, {}, FACE_MASK)
    with pytest.raises(UsageError, match="already exists"):
        write_submission(tmp_path, PHOTOS, PROBABILITIES, {}, FACE_MASK)


def test_probabilities_that_do_not_fit_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="probabilities"):
        write_submission(tmp_path, PHOTOS, PROBABILITIES[:2], {}, FACE_MASK)
    one_is_not_finite = PROBABILITIES.copy()
    one_is_not_finite[1, 4] = np.inf
    with pytest.raises(
        UsageError, match=r"1 of 3 photos have probabilities that are not finite, first a\.jpg"
    ):
        write_submission(tmp_path, PHOTOS, one_is_not_finite, {}, FACE_MASK)
    assert not list(tmp_path.iterdir())


def test_predictions_are_read_back_as_they_were_written(tmp_path):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(18), len(PHOTOS))
    write_submission(tmp_path, PHOTOS, probabilities, {}, FACE_MASK)
    table = read_predictions(tmp_path / "predictions.csv")
    assert list(table.columns) == ["ImageID", "ans", *(f"p{label:02d}" for label in range(18))]
    assert list(table["ImageID"]) == PHOTOS
    assert (table.iloc[:, 2:].to_numpy() == probabilities).all()
    labels = pd.read_csv(tmp_path / "submission.csv")["ans"]
    assert list(table["ans"]) == [FACE_MASK.classes[label] for label in labels]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("p17", "q17", "no column 'p17'"), ("1.0", "1.5", "the probabilities of b.jpg"),
        ("1.0", "", "the probabilities of b.jpg"), ("a.jpg", "b.jpg", "is duplicated"),
    ],
)  # fmt: skip
def test_damaged_predictions_are_refused_in_words(tmp_path, old, new, words):
    write_submission(tmp_path, PHOTOS, PROBABILITIES, {}, FACE_MASK)
    path = tmp_path / "predictions.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError, match=words):
        read_predictions(path)


@pytest.mark.parametrize("name", ["submission.json", "predictions.csv"])
def test_nothing_beside_a_submission_is_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} already exists"):
        write_submission(tmp_path, PHOTOS, PROBABILITIES, {}, FACE_MASK)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ImageID,answer\na.jpg,1\n", "no column 'ans'"),
        ("ImageID,ans\nb.jpg,3\na.jpg,18\nc.png,1\n", "from 0 to 17"),
        ("ImageID,ans\nb.jpg,3\na.jpg,\nc.png,1\n", "from 0 to 17"),
        ("ImageID,ans\nb.jpg,3\nb.jpg,3\nc.png,1\n", "is duplicated"),
        ("ImageID,ans\na.jpg,3\nb.jpg,3\nc.png,1\n", "another order"),
        ("ImageID,ans\nb.jpg,3\nc.png,1\n", "1 missing"),
        ("ImageID,ans\n", "has no rows"),
        ("", "an empty file, not a CSV"),
    ],
)
def test_what_makes_a_submission_invalid_is_named(tmp_path, text, words):
    path = tmp_path / "s.csv"
    path.write_text(text)
    assert words in "\n".join(submission_errors(path, PHOTOS, FACE_MASK))


def test_a_score_is_over_all_classes_whatever_the_order(tmp_path):
    answers, given = tmp_path / "answers.csv", tmp_path / "given.csv"
    pd.DataFrame({"ImageID": PHOTOS, "ans": [3, 0, 17]}).to_csv(answers, index=False)
    pd.DataFrame({"ImageID": PHOTOS[::-1], "ans": [17, 0, 4]}).to_csv(given, index=False)
    scores = score_submission(given, answers)
    assert scores["macro_f1"] == pytest.approx(2 / 18)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["recall"]["wear female <30"] == 0
    assert scores["recall"]["wear male 30-59"] is None
    assert scores["recall_rare"] == 1  # of c.png alone, class 17
    assert score_line(scores) == "macro-F1 0.1111  accuracy 0.6667  recall of 60+ 1.0000"
    answers.write_text("ImageID,ans\n" + "".join(f"{name},0\n" for name in PHOTOS))
    assert "recall of 60+ (no photos)" in score_line(score_submission(given, answers))


def test_answers_of_other_photos_are_refused(tmp_path):
    answers, given = tmp_path / "answers.csv", tmp_path / "given.csv"
    answers.write_text("ImageID,ans\nx.jpg,1\n")
    given.write_text("ImageID,ans\ny.jpg,1\n")
    with pytest.raises(UsageError, match="1 missing, 1 unknown"):
        score_submission(given, answers)
