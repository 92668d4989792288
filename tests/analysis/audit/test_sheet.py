"""The label audit of run folders: its page, its corrections, and what it refuses."""

import re

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import app
from analysis.audit.sheet import audit_labels
from common.errors import UsageError
from dataset.face_masks.corrections import apply_corrections
from dataset.read import read_train
from tests.analysis.fake_run import untrained
from tests.analysis.other_tasks import two_classes
from tests.conftest import call
from trial.run_folder.predictions import probability_columns


@pytest.fixture(scope="module")
def photos(people):
    return read_train(people)


def answers(task, table, labels, seed=0):
    """A validation.parquet of a network that is sure of `labels`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(table), task.n_classes)) + 6 * np.eye(task.n_classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    known = table[["photo", "group", "label"]].assign(fold=0).reset_index(drop=True)
    return known.join(pd.DataFrame(probabilities, columns=probability_columns(task.n_classes)))


def run(folder, data, task, table, labels, **values):
    untrained(
        folder, validation=answers(task, table, labels), task=task, values={"data": str(data), **values}
    )
    return folder


def other(task, table):
    """The labels of `table` if three people had the other gender, one another age, and three photos another
    mask."""
    values = {factor: table[factor].to_numpy().copy() for factor in task.factors}
    groups = sorted(set(table["group"]))
    for group in groups[2:5]:
        values["gender"][table["group"] == group] ^= 1
    for group in groups[6:9]:
        values["age_band"][table["group"] == group] = 1
    values["mask"][[70, 80, 90]] = 2
    return task.label(values)


def test_what_it_suggests_the_reader_applies(photos, people, tmp_path):
    task, table = photos
    labels = other(task, table)
    audit = audit_labels([run(tmp_path / "run", people, task, table, labels)], tmp_path / "out")
    listed = pd.read_csv(tmp_path / "out" / "suspects.csv", dtype={"group": str})
    assert (audit.audited, audit.groups, len(listed)) == (30, 30, len(audit.suspects))
    changed = apply_corrections(table, tmp_path / "out" / "corrections.csv")
    assert 2 <= changed.attrs["corrections"] == len(audit.flagged)
    assert (changed["label"] != table["label"]).any()
    assert ((changed["label"] == table["label"]) | (changed["label"] == labels)).all()
    page = (tmp_path / "out" / "labels.html").read_text()
    assert page.count("<article") == len(audit.flagged) and "data:image/jpeg" in page and "plotly" not in page
    for factor, number, what in re.findall(r"(\w+): (\d+) suspicious (\w+);", "\n".join(audit.lines())):
        assert f"<h2>{factor}: {number} {what}</h2>" in page
    with pytest.raises(UsageError, match="out already exists"):
        audit_labels([tmp_path / "run"], tmp_path / "out")


def test_runs_are_averaged_where_both_know_a_photo(photos, people, tmp_path):
    task, table = photos
    sure, doubting = other(task, table), table["label"].to_numpy()
    half = table[table["group"].isin(sorted(set(table["group"]))[:10])]
    one = run(tmp_path / "one", people, task, table, doubting)
    two = run(tmp_path / "two", people, task, half, sure[half.index])
    audit = audit_labels([one, two], tmp_path / "out")
    assert audit.audited == 30
    assert set(audit.suspects["photos"]) <= {7} and audit.suspects["probability"].max() < 0.7
    alone = audit_labels([two], tmp_path / "alone")
    assert (alone.audited, alone.groups) == (10, 30)
    assert "a run with fold=all audits all people" in "\n".join(alone.lines())


def test_other_tasks_get_the_same_rows_to_review(tmp_path):
    data = two_classes(tmp_path / "set")
    photos = data / "photos.csv"
    photos.write_text(re.sub(r",p(\d)", r",=p\1", photos.read_text()))  # a spreadsheet would compute it
    task, table = read_train(data, group="patient")
    labels = table["label"].to_numpy().copy()
    for patient in ("=p1", "=p2", "=p4"):
        labels[table["group"] == patient] ^= 1
    where = run(tmp_path / "run", data, task, table, labels, group="patient")
    result = call(app, "labels", where, "--out", tmp_path / "out")
    assert result.exit_code == 0 and "audited: the labels of 12 of 12 patients" in result.stdout
    rows = pd.read_csv(tmp_path / "out" / "corrections.csv")
    assert list(rows) == ["id", "field", "recorded", "corrected"]
    assert set(rows["id"]) <= {"'=p1", "'=p2", "'=p4"} and set(rows["field"]) == {"class"}
    assert (rows["recorded"] != rows["corrected"]).all()
    suspects = pd.read_csv(tmp_path / "out" / "suspects.csv", dtype=str)
    assert suspects["group"].str.startswith("'=p").all()


def test_damaged_runs_and_runs_of_other_data_are_refused(photos, people, tmp_path):
    task, table = photos
    right = table["label"].to_numpy()
    good = run(tmp_path / "good", people, task, table, right)

    def refused(*runs, **more):
        with pytest.raises(UsageError) as error:
            audit_labels(runs, tmp_path / "out", **more)
        return "\n".join(error.value.errors)

    assert "none/config.json: does not exist" in refused(tmp_path / "none")
    cut = run(tmp_path / "cut", people, task, table, right) / "validation.parquet"
    cut.write_bytes(cut.read_bytes()[:500])
    assert f"{cut}: is damaged" in refused(good, tmp_path / "cut")
    untrained(tmp_path / "retrained", values={"data": str(people)})
    assert "retrained/validation.parquet: does not exist" in refused(tmp_path / "retrained")
    renamed = table.assign(photo="x" + table["photo"])
    odd = run(tmp_path / "odd", people, task, renamed, right)
    assert "odd/validation.parquet: holds 210 photos that the data lacks: x" in refused(good, odd)
    moved = table.assign(label=(table["label"] + 1) % 18)
    wrong = run(tmp_path / "wrong", people, task, moved, right)
    assert "wrong/validation.parquet: has another label than the data for 210 photos" in refused(wrong)
    fewer = two_classes(tmp_path / "fewer")
    swapped = run(tmp_path / "swapped", people, task, table, right)
    answers(*read_train(fewer, group="patient"), 0).to_parquet(swapped / "validation.parquet")
    assert "validation.parquet: holds probabilities of 2 classes, the run has 18" in refused(swapped)
    alone = table[table["group"] == table["group"].iloc[0]]
    single = run(tmp_path / "single", people, task, alone, right[alone.index])
    assert "single/validation.parquet: holds one person only" in refused(single)
    others = two_classes(tmp_path / "set")
    assert "other classes (18 instead of 2" in refused(good, data=others)
    assert not (tmp_path / "out").exists()
    assert call(app, "labels", tmp_path / "cut", "--out", tmp_path / "out").exit_code == 2
