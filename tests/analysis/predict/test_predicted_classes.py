import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.ensemble import ensemble
from analysis.pipeline import retrain_and_submit
from analysis.predict.predicted_classes import (
    collapse_warnings,
    predicted_classes,
    table_lines,
    training_fractions,
)
from analysis.prediction import predict_and_submit
from analysis.recipes import Recipe
from analysis.submission import read_predictions
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from dataset.task import Task
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.run_folder.record import RunFolder

USUAL = np.full(18, 1 / 18)


def counted(*labels: int, training=USUAL) -> list[dict]:
    return predicted_classes(np.eye(18)[list(labels)], training, FACE_MASK)


def test_counts_and_fractions_by_hand():
    rows = counted(0, 0, 0, 17, training=training_fractions([[3] * 18, None, [1, *[0] * 17]]))
    assert rows[0] == {
        "ans": 0,
        "class": "wear male <30",
        "photos": 3,
        "fraction": 0.75,
        "training_fraction": 0.5278,
    }
    assert (rows[17]["photos"], rows[1]["fraction"], rows[1]["training_fraction"]) == (1, 0, 0.0278)
    assert training_fractions([None]) is None
    assert table_lines(rows)[1].split() == ["wear", "male", "<30", "3", "75.0%", "52.8%"]
    assert table_lines(counted(0, training=None))[1].split()[-1] == "unknown"


def test_a_healthy_submission_warns_of_nothing():
    assert collapse_warnings(counted(*range(18), *range(18), *range(18))) == []


def test_one_class_for_all_is_loud():
    first, second = collapse_warnings(counted(*[3] * 100))
    assert first.startswith("100 of 100 predictions are 'wear female <30', 5.6% of the training photos")
    assert second.startswith("17 of the 18 classes are never predicted") and "not worn female 60+" in second
    assert len(collapse_warnings(counted(*[3] * 100, training=None))) == 2
    (one,) = collapse_warnings(counted(*[*range(17)] * 7))
    assert one.startswith("1 of the 18 classes is never predicted, and counts 0 in the macro-F1 if it occurs")


def test_what_chance_explains_is_not_warned_of():
    assert collapse_warnings(counted(3)) == []
    assert collapse_warnings(counted(3, 3, 3)) == []
    one_kind = np.eye(18)[3] * 0.98 + 0.02 / 18
    assert collapse_warnings(counted(*[3] * 100, training=one_kind)) == []
    # A class of which 2.9 photos are expected may be absent, one of 3 is missed.
    for fraction, missed in ((0.029, 0), (0.03, 1)):
        rare = np.append(np.full(17, (1 - fraction) / 17), fraction)
        assert len(collapse_warnings(counted(*[n % 17 for n in range(100)], training=rare))) == missed


def test_of_hundreds_of_classes_some_are_missed_by_chance():
    """A drawn submission of a healthy network: each class is expected 4 times, and e^-4 of 300 are missed."""
    task = Task("photos", tuple(f"species {number}" for number in range(300)))
    labels = np.random.default_rng(0).integers(0, 300, 1200)
    rows = predicted_classes(np.eye(300)[labels], np.full(300, 1 / 300), task)
    assert sum(not row["photos"] for row in rows) > 2
    assert collapse_warnings(rows) == []
    lines = table_lines(rows)
    assert len(lines) == 32
    assert lines[-1].startswith("  and 270 more classes with ")
    assert rows[7]["ans"] == "species 7"


def test_a_class_that_nobody_trained_on_is_not_missed():
    without = np.append(np.full(17, 1 / 17), 0)
    assert collapse_warnings(counted(*[n % 17 for n in range(1000)], training=without)) == []


def of_one_class(folder, label: int = 4) -> None:
    """A network that predicts `label` whatever it sees."""
    path = untrained(folder).folder / "weights.safetensors"
    weights = load_file(path)
    bias = torch.zeros(18)
    bias[label] = 100
    save_file(weights | {"fc.weight": weights["fc.weight"] * 0, "fc.bias": bias}, path)


def test_a_collapsed_network_is_named_in_terminal_json_and_report(people, tmp_path, capsys):
    of_one_class(tmp_path / "run")
    predict_and_submit(tmp_path / "run", people, tmp_path / "out")
    said = capsys.readouterr().out
    assert "WARNING: 105 of 105 predictions are 'wear female 30-59', 2.9% of the training photos" in said
    assert "in training" in said and "100.0%" in said
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert [row["photos"] for row in about["answers"]] == [105 * (label == 4) for label in range(18)]
    assert about["answers"][17]["training_fraction"] == pytest.approx(18 / 171, abs=1e-4)
    assert len(about["warnings"]) == 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("105 of 105 predictions are") == 1
    assert read_predictions(tmp_path / "out" / "predictions.csv")["p04"].min() > 0.99


def test_an_ensemble_is_held_against_its_members_data(people, tmp_path, capsys):
    for name in "ab":
        of_one_class(tmp_path / name)
    ensemble([tmp_path / "a", tmp_path / "b"], people, tmp_path / "out")
    assert "2.9% of the training photos" in capsys.readouterr().out
    assert len(read_predictions(tmp_path / "out" / "predictions.csv")) == 105


def test_retraining_keeps_the_classes_of_what_it_saw(people, tmp_path, capsys):
    recipe = Recipe({**TINY, "epochs": 1})
    _, about = retrain_and_submit(recipe, people, tmp_path / "run", {})
    labels = read_train(people).table["label"]
    counts = np.bincount(labels, minlength=18)
    assert RunFolder(tmp_path / "run").class_counts() == list(counts)
    assert [row["training_fraction"] for row in about["answers"]] == pytest.approx(
        counts / len(labels), abs=1e-4
    )
    assert capsys.readouterr().out.count("in training") == 1
    assert len(read_predictions(tmp_path / "run" / "predictions.csv")) == 105


def test_a_run_of_before_class_counts_is_predicted_all_the_same(people, tmp_path):
    path = untrained(tmp_path / "run").folder / "origin.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "class_counts"})
    )
    _, about = predict_and_submit(tmp_path / "run", people, tmp_path / "out")
    assert {row["training_fraction"] for row in about["answers"]} == {None}
    assert [row["class"] for row in about["answers"]] == list(FACE_MASK.classes)


def test_a_network_of_nan_is_refused_by_the_name_of_its_run(people, tmp_path):
    path = untrained(tmp_path / "run").folder / "weights.safetensors"
    weights = load_file(path)
    save_file(weights | {"fc.bias": weights["fc.bias"] * torch.nan}, path)
    with pytest.raises(
        UsageError, match=r"run: its network gives probabilities that are not finite for 105 of 105"
    ):
        predict_and_submit(tmp_path / "run", people, tmp_path / "out")
    untrained(tmp_path / "whole")
    with pytest.raises(UsageError, match=r"run: its network gives probabilities that are not finite"):
        ensemble([tmp_path / "whole", tmp_path / "run"], people, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_predictions_of_another_hand_are_not_overwritten(people, tmp_path):
    untrained(tmp_path / "run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"predictions\.csv already exists"):
        predict_and_submit(tmp_path / "run", people, tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "predictions.csv").columns.tolist() == ["mine"]
