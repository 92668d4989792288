import json

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import app
from analysis.predict.trained import predict
from analysis.pseudo_labels import agreeing_groups, confident_photos, write_pseudo_labels
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK, GENDERS
from dataset.fingerprint import fingerprint
from dataset.read import read_eval, read_train
from tests.analysis import other_tasks
from tests.analysis.fake_run import untrained
from tests.analysis.trust.drawn_answers import drawn
from tests.conftest import TINY, call
from trial import recipe
from trial.config import parse
from trial.run_folder.record import RunFolder, Unrecorded

ILL = {"group": "patient"}


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    return other_tasks.two_classes(tmp_path_factory.mktemp("two") / "set")


@pytest.fixture(scope="module")
def first(patients, tmp_path_factory):
    """A submission whose predictions are p = .9 for what is right, but for one photo of the last patient."""
    run = tmp_path_factory.mktemp("first") / "run"
    task = read_train(patients, group="patient").task
    untrained(run, mark=fingerprint(patients), task=task, values={**ILL, "data": str(patients)})
    out = run.parent / "out"
    assert call(app, "predict", run, "--data", patients, "--out", out, "--decide", "none").exit_code == 0
    table = pd.read_csv(out / "predictions.csv")
    right = read_eval(patients, "patient")["class"].map(task.classes.index).to_numpy().copy()
    right[-1] = 1 - right[-1]
    table["ans"] = [task.classes[label] for label in right]
    table[["p00", "p01"]] = np.where(np.eye(2)[right], 0.9, 0.1)
    table.to_csv(out / "predictions.csv", index=False)
    return out


def test_photos_are_taken_from_a_confidence_on():
    labels, kept = confident_photos(np.array([[0.9, 0.1], [0.4, 0.6], [0.05, 0.95]]), 0.9)
    assert labels.tolist() == [0, 1, 1] and kept.tolist() == [True, False, True]


def test_groups_are_taken_if_all_photos_agree_on_what_they_share():
    (probabilities,), labels, groups = drawn(30, noise=0.1)
    probabilities = 0.9 * np.eye(18)[labels] + 0.1 / 18
    sure = agreeing_groups(probabilities, groups, FACE_MASK, (1, 2), 0.5)
    assert sure.kept.all() and (sure.labels == labels).all()
    odd = probabilities.copy()
    odd[0] = np.roll(odd[0], 1)  # another of what this person's photos share
    one_says_otherwise = agreeing_groups(odd, groups, FACE_MASK, (1, 2), 0.5)
    assert (one_says_otherwise.kept == (groups != groups[0])).all()
    unsure = probabilities.copy()
    unsure[0] = np.roll(unsure[0], 6) * 0.5 + 0.5 * unsure[0]  # of the mask, which they do not share
    kept = agreeing_groups(unsure, groups, FACE_MASK, (1, 2), 0.8).kept
    assert not kept[0] and kept[1:].all()
    alone = np.where(groups == groups[0], groups, np.arange(len(groups)).astype(str))
    alone[7] = ""
    assert (agreeing_groups(probabilities, alone, FACE_MASK, (1, 2), 0.5).kept == (groups == groups[0])).all()


def test_agreeing_patients_become_labels_and_the_others_do_not(patients, first, tmp_path):
    out = tmp_path / "my labels.csv"
    said = call(app, "pseudo-labels", first, "--data", patients, "--out", out)
    assert said.exit_code == 0, said.stderr
    assert "12 of 16 photos to predict, of 3 of 4 patients, confidence 0.8" in said.stdout
    assert f"retrain RECIPE 'pseudo_labels={out}' --data {patients}" in said.stdout
    table = pd.read_csv(out, keep_default_na=False)
    photos = read_eval(patients, "patient")
    kept = photos[photos["group"] != photos["group"].iloc[-1]]
    assert table["photo"].tolist() == kept["photo"].tolist()
    assert table["class"].tolist() == kept["class"].tolist()
    again = call(app, "pseudo-labels", first, "--data", patients, "--out", out)
    assert again.exit_code == 2 and "already exists" in again.stderr
    alone = write_pseudo_labels(first, patients, tmp_path / "photos.csv", "photo", 0.85)
    assert "16 of 16 photos to predict, confidence 0.85" in alone[0]
    with pytest.raises(UsageError, match=r"no prediction is as confident as 0.95"):
        write_pseudo_labels(first, patients, tmp_path / "none.csv", "photo")


def test_a_retraining_is_of_the_labels_too_and_says_so(patients, first, tmp_path):
    labels = tmp_path / "labels.csv"
    write_pseudo_labels(first, patients, labels)
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"recipe": {**TINY, **ILL, "epochs": 1}}))
    words = (f"pseudo_labels={labels}", "--data", patients, "--out", tmp_path / "out")
    done = call(app, "retrain", recipe, *words)
    assert done.exit_code == 0, done.stderr
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert about["rule"]["photos"].endswith(f"and photos to predict with the classes of {labels}")
    assert RunFolder(tmp_path / "out").origin()["pseudo_labels"] == 12
    assert predict(tmp_path / "out", read_eval(patients)).shape == (16, 2)


@pytest.mark.parametrize(
    ("values", "about", "wanted"),
    [
        ({"fold": 2, "seed": 3}, {}, "fold 2 of 5 by seed 3, group=patient"),
        ({"fold": "all"}, {}, ""),
        ({}, {"rule": {}}, ""),
        ({}, {"data_fingerprint": "other"}, ""),
    ],
)
def test_the_file_says_who_was_held_out(patients, first, tmp_path, values, about, wanted):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in first.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    read = json.loads((copy / "submission.json").read_text())
    read["recipe"] |= values
    (copy / "submission.json").write_text(json.dumps({**read, **about}))
    write_pseudo_labels(copy, patients, tmp_path / "labels.csv")
    held_out = pd.read_csv(tmp_path / "labels.csv", keep_default_na=False)["held_out"]
    assert {words.partition(", photos ")[0] for words in held_out} == {wanted}


def test_the_file_says_by_which_corrections_the_folds_were_dealt(people, tmp_path):
    first = read_train(people).table.iloc[0]
    gender, corrections = GENDERS[first["gender"]], tmp_path / "x.csv"
    corrections.write_text(f"id,field,recorded,corrected\n{first['group']},gender,{gender},{gender}\n")
    run = untrained(tmp_path / "run", mark=fingerprint(people), values={"corrections": str(corrections)})
    origin = run.origin() | {"label_files": {"corrections": "a" * 64}}
    (run.folder / "origin.json").write_text(json.dumps(origin))
    call(app, "predict", run.folder, "--data", people, "--out", tmp_path / "out")
    write_pseudo_labels(tmp_path / "out", people, tmp_path / "labels.csv", "photo", 0)
    held_out = pd.read_csv(tmp_path / "labels.csv")["held_out"]
    (words,) = set(held_out)
    assert words.startswith(f"fold 0 of 5 by seed 0, corrections={corrections} (aaaaaaaaaaaa), photos ")


def test_a_trial_takes_the_file_until_a_label_changes(tmp_path):
    """As docs/data.md has it, errors are corrected in photos.csv: then the folds are dealt otherwise."""
    data, labels = other_tasks.two_classes(tmp_path / "set"), tmp_path / "labels.csv"
    values = {**TINY, **ILL, "data": str(data), "epochs": 1}
    task, table = read_train(data, group="patient")
    run = untrained(tmp_path / "run", mark=fingerprint(data), task=task, values={**ILL, "data": str(data)})
    call(app, "predict", run.folder, "--data", data, "--out", tmp_path / "out")
    write_pseudo_labels(tmp_path / "out", data, labels, "photo", 0)
    config = parse({**values, "pseudo_labels": str(labels)})
    recipe.start(config, Unrecorded(), holds_out=True)
    first = table["group"] == table["group"].iloc[0]
    csv = data / "photos.csv"
    rows = pd.read_csv(csv, dtype=str)
    rows.loc[rows["path"].isin(table["photo"][first]), "label"] = task.classes[1 - table["label"].iloc[0]]
    rows.to_csv(csv, index=False)
    with pytest.raises(
        UsageError, match=r"held out fold 0 of 5 by seed 0, group=patient, photos \w+, this run"
    ):
        recipe.start(config, Unrecorded(), holds_out=True)
    recipe.start(config, Unrecorded())  # a retraining holds nobody out


def test_what_does_not_fit_is_refused(people, patients, first, tmp_path):
    out = tmp_path / "labels.csv"
    run = tmp_path / "run"
    untrained(run, mark=fingerprint(people))
    call(app, "predict", run, "--data", people, "--out", tmp_path / "predicted")
    with pytest.raises(UsageError, match="predicts other classes"):
        write_pseudo_labels(tmp_path / "predicted", patients, out)
    with pytest.raises(UsageError, match=r"--by group.*do not say which") as error:
        write_pseudo_labels(tmp_path / "predicted", people, out)
    assert "--by photo takes each by itself" in str(error.value)
    path = tmp_path / "predicted" / "predictions.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UsageError, match=r"differs from those of .*1 missing"):
        write_pseudo_labels(tmp_path / "predicted", people, out, "photo", 0)
    (tmp_path / "predicted" / "submission.json").unlink()
    with pytest.raises(UsageError, match=r"has no submission.json"):
        write_pseudo_labels(tmp_path / "predicted", people, out, "photo", 0)
    assert (
        call(app, "pseudo-labels", first, "--data", patients, "--out", out, "--confidence", 2).exit_code == 2
    )
    assert not out.exists()


def test_combined_photos_can_not_agree(patients, first, tmp_path):
    about = first / "submission.json"
    kept = about.read_text()
    about.write_text(json.dumps({**json.loads(kept), "combined_photos": {}}))
    try:
        with pytest.raises(UsageError, match="always agree; predict without"):
            write_pseudo_labels(first, patients, tmp_path / "labels.csv")
    finally:
        about.write_text(kept)
