import json

import numpy as np
import pandas as pd
import pytest

from analysis.score import _labelled, recall_lines, score_line, score_submission, trust_lines
from analysis.submission import (
    UNFINISHED,
    read_predictions,
    refuse_existing,
    submission_errors,
    write_submission,
    writing,
)
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval
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


def test_the_interval_is_over_the_groups_that_the_answers_name(tmp_path):
    answers, given = tmp_path / "answers.csv", tmp_path / "given.csv"
    rng = np.random.default_rng(0)
    labels = np.array([0, 1]).repeat(70)
    right = (rng.random(20) < 0.6).repeat(7)  # all photos of a person alike
    photos = [f"{number}.jpg" for number in range(140)]
    table = pd.DataFrame({"ImageID": photos, "ans": labels})
    table.assign(ans=np.where(right, labels, 1 - labels)).to_csv(given, index=False)
    widths = {}
    for by, column in (("photos", {}), ("people", {"person": np.arange(140) // 7}),
                       ("people", {"group": np.arange(140) // 7})):  # fmt: skip
        table.assign(**column).to_csv(answers, index=False)
        found = score_submission(given, answers)
        interval, lines = found["interval"], "\n".join(trust_lines(found))
        assert (interval["by"], interval["of"]) == (by, 140 if by == "photos" else 20)
        assert interval["low"] < found["macro_f1"] < interval["high"]
        assert found["intervals"].keys() == {"macro_f1", "accuracy", "balanced_accuracy"}
        assert found["intervals"]["macro_f1"] == {"low": interval["low"], "high": interval["high"]}
        assert all(own["low"] < found[name] < own["high"] for name, own in found["intervals"].items())
        assert ("too narrow" in lines) == (by == "photos")
        assert f"by bootstrap over {interval['of']} {by}" in lines
        widths[by] = interval["high"] - interval["low"]
    assert found["not_covered"]["absent"][0] == "wear male 60+" and "16 classes without a photo" in lines
    pd.DataFrame({"ImageID": photos, "ans": labels}).assign(group=photos).to_csv(answers, index=False)
    assert score_submission(given, answers)["interval"]["by"] == "photos", "each photo its own group"


def test_answers_of_other_photos_are_refused(tmp_path):
    answers, given = tmp_path / "answers.csv", tmp_path / "given.csv"
    answers.write_text("ImageID,ans\nx.jpg,1\n")
    given.write_text("ImageID,ans\ny.jpg,1\n")
    with pytest.raises(UsageError, match="1 missing, 1 unknown"):
        score_submission(given, answers)


PETS = Task("photos", ("cat", "dog", "grey parrot"), rare=(2,))


def pets(folder, *ans: str):
    """A submission of photos 0.jpg, 1.jpg, ... with these answers, alone in its folder."""
    folder.mkdir(exist_ok=True)
    lines = [f"{number}.jpg,{name}" for number, name in enumerate(ans)]
    (folder / "submission.csv").write_text("\n".join(["ImageID,ans", *lines]) + "\n")
    return folder / "submission.csv"


def test_another_tasks_submission_says_names_and_is_scored_by_its_own_classes(tmp_path):
    path = write_submission(tmp_path / "out", PHOTOS, np.eye(3)[[1, 0, 1]], {}, PETS)
    assert path.read_text() == "ImageID,ans\nb.jpg,dog\na.jpg,cat\nc.png,dog\n"
    assert list(read_predictions(tmp_path / "out" / "predictions.csv")["ans"]) == ["dog", "cat", "dog"]
    (tmp_path / "answers.csv").write_text("ImageID,ans\na.jpg,cat\nb.jpg,dog\nc.png,cat\n")
    scores = score_submission(path, tmp_path / "answers.csv")
    assert scores["macro_f1"] == pytest.approx(4 / 9), "of the three classes, though no photo shows a parrot"
    assert scores["balanced_accuracy"] == pytest.approx(0.75)
    assert scores["recall"] == {"cat": 0.5, "dog": 1.0, "grey parrot": None}
    assert score_line(scores) == "macro-F1 0.4444  accuracy 0.6667  recall of rare classes (no photos)"


def test_an_unknown_name_is_refused_with_its_lines_and_the_nearest_one(tmp_path):
    path = write_submission(tmp_path / "out", PHOTOS, np.eye(3)[[1, 0, 1]], {}, PETS)
    (tmp_path / "answers.csv").write_text("ImageID,ans\na.jpg,gray parrot\nb.jpg,cat\nc.png,gray parrot\n")
    with pytest.raises(UsageError) as error:
        score_submission(path, tmp_path / "answers.csv")
    (message,) = error.value.errors
    assert (
        message
        == f"{tmp_path / 'answers.csv'} lines 2, 4: unknown class 'gray parrot'; did you mean grey parrot?"
    )


def test_answers_of_another_task_are_one_message(tmp_path):
    path = write_submission(tmp_path / "out", PHOTOS, np.eye(3)[[1, 0, 1]], {}, PETS)
    with pytest.raises(UsageError) as error:
        score_submission(path, pets(tmp_path / "truth", "3", "0", "17"))
    assert error.value.errors == [
        f"{tmp_path / 'truth' / 'submission.csv'}: its classes (0, 3, 17) are none of the task's (cat, dog, grey parrot);"
        " is it of another task?"
    ]


def test_without_its_json_a_submission_has_the_names_in_both_files_and_says_so(tmp_path, capsys):
    given, truth = (
        pets(tmp_path / "given", "cat", "dog", "dog"),
        pets(tmp_path / "truth", "cat", "dog", "cat"),
    )
    scores = score_submission(given, truth)
    assert scores["recall"] == {"cat": 0.5, "dog": 1.0}
    said = capsys.readouterr()
    assert not said.out
    assert "the classes are the 2 names in the two files" in said.err


def test_without_its_json_answers_in_the_competitions_numbers_are_of_its_task(tmp_path, capsys):
    scores = score_submission(
        pets(tmp_path / "given", "0", "1", "1"), pets(tmp_path / "truth", "0", "1", "0")
    )
    assert len(scores["recall"]) == 18
    assert "taken as the competition's classes" in capsys.readouterr().err
    with pytest.raises(UsageError, match="column ans must hold integers from 0 to 17"):
        score_submission(pets(tmp_path / "given", "0", "1", "18"), tmp_path / "truth" / "submission.csv")


def test_a_votes_groups_are_those_of_its_members_recipes(tmp_path):
    """The groups of photos to predict come from a regular expression, which only the recipes know."""
    for name in ("a_1", "a_2", "b_1"):
        for half in ("train", "eval"):
            (tmp_path / "set" / half / "cat").mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / half / "cat" / f"{name}.jpg").touch()
    found = _labelled(tmp_path / "set", {"members": [{"recipe": {"group": "/([a-z]+)_"}}, {}]})
    assert list(found["group"]) == ["a", "a", "b"]


def test_without_its_json_classes_of_a_data_set_that_are_digits_are_not_the_competitions(tmp_path, capsys):
    for name in ("3", "7"):
        for half in ("train", "eval"):
            (tmp_path / "set" / half / name).mkdir(parents=True)
            (tmp_path / "set" / half / name / f"{name}.jpg").touch()
    given = pets(tmp_path / "given", "3", "7")
    given.write_text("ImageID,ans\n3/3.jpg,3\n7/7.jpg,7\n")
    assert score_submission(given, tmp_path / "set")["macro_f1"] == 1
    assert "the classes are the 2 names" in capsys.readouterr().err


def test_a_submission_of_before_the_task_is_of_the_competitions(tmp_path):
    given = pets(tmp_path / "given", "0", "1", "1")
    (tmp_path / "given" / "submission.json").write_text(json.dumps({"recipe": {"model": "x"}}))
    assert score_submission(given, pets(tmp_path / "truth", "0", "1", "0"))["rare_name"] == "60+"


@pytest.mark.parametrize("with_json", [False, True])
def test_predictions_of_earlier_versions_are_read_by_name(tmp_path, with_json):
    columns = {f"p{label:02d}": [label == 3, label == 17] for label in range(18)}
    table = pd.DataFrame({"ImageID": ["a.jpg", "b.jpg"], "ans": [3, 17], **columns}).astype(
        dict.fromkeys(columns, float)
    )
    table.to_csv(tmp_path / "predictions.csv", index=False)
    if with_json:
        (tmp_path / "submission.json").write_text("{}")
    read = read_predictions(tmp_path / "predictions.csv")
    assert list(read["ans"]) == [FACE_MASK.classes[3], FACE_MASK.classes[17]]
    assert list(read["p03"]) == [1, 0]


def test_predictions_without_their_json_keep_the_names_in_them(tmp_path):
    write_submission(tmp_path, PHOTOS, np.eye(3)[[1, 0, 1]], {}, PETS)
    (tmp_path / "submission.json").unlink()
    assert list(read_predictions(tmp_path / "predictions.csv")["ans"]) == ["dog", "cat", "dog"]


def test_a_data_set_whose_photos_to_predict_have_no_labels_is_no_answer(tmp_path, people):
    photos = list(read_eval(people)["photo"])
    path = write_submission(tmp_path, photos, np.eye(18)[[3] * len(photos)], {}, FACE_MASK)
    with pytest.raises(
        UsageError, match=r"105 of its 105 photos to predict have no label, first .*; give a CSV"
    ):
        score_submission(path, people)
    with pytest.raises(UsageError, match="has no rows"):
        score_submission(pets(tmp_path / "empty"), people / "answers.csv")


def test_a_damaged_task_in_a_submissions_json_is_refused_in_words(tmp_path):
    path = write_submission(tmp_path, PHOTOS, PROBABILITIES, {}, FACE_MASK)
    for damaged in ('{"task": {"name": "x"}}', '{"task": 3}', "[]", "{"):
        (tmp_path / "submission.json").write_text(damaged)
        with pytest.raises(UsageError, match=r"submission\.json: .*damaged"):
            score_submission(path, path)


def test_recalls_of_hundreds_of_classes_fit_a_terminal():
    scores = {"recall": {f"species {n}": None if n == 0 else n / 300 for n in range(300)}}
    lines = recall_lines(scores)
    assert len(lines) == 31
    assert lines[0].split() == ["recall", "species", "1", "0.003"]
    assert lines[-1].startswith("  and 270 more classes")
    assert recall_lines({"recall": {"a": None, "b": 0.5}}) == [
        f"  recall {'a':24} no photos",
        f"  recall {'b':24} 0.500",
    ]
    assert recall_lines({"recall": {"a": 0.5, "b" * 200: 0.5}})[0] == f"  recall {'a':40} 0.500"


def test_what_a_killed_command_left_is_its_own(tmp_path):
    def begin(files, what, folders=()):
        with writing(tmp_path, files, what, folders) as again:
            assert not any((tmp_path / name).exists() for name in files)
            return again

    killed = writing(tmp_path, ["a", "b"], {"recipe": 1}, ["best"])
    killed.__enter__()  # and never left
    (tmp_path / "a").write_text("half")
    (tmp_path / "best").mkdir()
    refuse_existing(tmp_path, "a", "best")
    (tmp_path / "c").write_text("of somebody")
    with pytest.raises(UsageError, match="c already exists"):
        refuse_existing(tmp_path, "a", "c")
    with pytest.raises(UsageError, match="best is of another, unfinished command"):
        begin(["a"], {"recipe": 2}, ["best"])
    assert begin(["a", "b"], {"recipe": 1}, ["best"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "c"]
    with pytest.raises(UsageError, match="best already exists"):
        refuse_existing(tmp_path, "best")


def test_a_note_that_names_files_elsewhere_is_damaged(tmp_path):
    (tmp_path / UNFINISHED).write_text('{"files": ["../x"], "folders": [], "what": {}}')
    with pytest.raises(UsageError, match="names files of other folders"):
        refuse_existing(tmp_path, "a")


@pytest.mark.parametrize("what", [None, {"recipe": 1}])
def test_a_block_that_fails_removes_its_files(tmp_path, what):
    def fail(out, error):
        with writing(out, ["a"], what):
            (out / "a").write_text("half")
            raise error

    with pytest.raises(RuntimeError):
        fail(tmp_path, RuntimeError())
    assert [path.name for path in tmp_path.iterdir()] == ([UNFINISHED] if what else [])
    with pytest.raises(UsageError):
        fail(tmp_path / "new", UsageError("refused"))
    assert not list((tmp_path / "new").iterdir())


def test_a_block_that_is_refused_after_it_made_a_folder_goes_on_once_it_is_corrected(tmp_path):
    def refused():
        with writing(tmp_path, ["a"], {"recipe": 1}, ["best"]):
            (tmp_path / "best").mkdir()
            raise UsageError("device=cuda: there is no GPU")

    with pytest.raises(UsageError, match="no GPU"):
        refused()
    with writing(tmp_path, ["a"], {"recipe": 1}, ["best"]) as again:
        assert again
