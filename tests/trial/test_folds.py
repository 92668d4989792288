"""Several folds in one trial."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_train
from dataset.split import fold_of
from tests.conftest import TINY
from trial import recipe
from trial.config import parse
from trial.fit import Epoch
from trial.folds import Fold, Patience
from trial.metrics import METRICS, column_of, score, score_probabilities
from trial.run import run
from trial.run_folder.predictions import probabilities_of, scores_of
from trial.run_folder.record import RunFolder, RunWriter

RECIPE = {**TINY, "folds": 3, "head": {"_name": "classes", "dropout": 0.3}}


def trained(folder, people, **values):
    """(what was reported, the run)."""
    config = parse({**RECIPE, "data": str(people), **values})
    reports = []
    final = run(config, RunWriter(folder, config), reports.append)
    return reports, RunFolder(folder), final


@pytest.fixture(scope="module")
def all_folds(people, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run") / "all", people, fold="all")


@pytest.mark.slow
def test_every_person_is_answered_for_by_a_network_that_has_not_seen_them(all_folds, people):
    _, run_folder, final = all_folds
    answers, table = run_folder.validation(), read_train(people).table
    assert sorted(answers["photo"]) == sorted(table["photo"])
    folds = dict(zip(table["photo"], fold_of(table, 3, 0), strict=True))
    assert (answers["fold"] == answers["photo"].map(folds)).all()
    macro_f1 = score(answers["label"], probabilities_of(answers).argmax(1), 18).macro_f1
    assert final == run_folder.status()["macro_f1"] == macro_f1


def test_lock_step_reports_the_mean_of_the_folds_after_each_epoch(all_folds):
    reports, run_folder, _ = all_folds
    epochs = run_folder.epochs()
    assert list(epochs["epoch"]) == [1, 1, 1, 2, 2, 2]
    assert list(epochs["fold"]) == [0, 1, 2] * 2
    means = epochs.groupby("epoch")["macro_f1"].mean()
    assert [report.macro_f1 for report in reports] == pytest.approx(list(means))
    assert all(report.for_tuner for report in reports)
    assert [report.done for report in reports] == ["epoch 1/2", "epoch 2/2"]


@pytest.mark.slow
def test_a_fold_is_the_same_alone_in_lock_step_or_one_by_one(all_folds, people, tmp_path):
    _, together, final = all_folds
    _, alone, _ = trained(tmp_path / "alone", people, fold=1)
    reports, one_by_one, same = trained(tmp_path / "each", people, fold="all", fold_order="one_by_one")
    assert same == final
    columns = ["epoch", "train_loss", "macro_f1"]
    rows = together.epochs().query("fold == 1")[columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.epochs()[columns], rows)
    reported = [report for report in reports if report.for_tuner]
    assert [report.done for report in reported] == ["fold 1/3", "fold 2/3", "fold 3/3"]
    best = one_by_one.epochs().groupby("fold")["macro_f1"].max()
    assert [report.macro_f1 for report in reported] == pytest.approx([best[:n].mean() for n in (1, 2, 3)])
    assert sorted(p.name for p in one_by_one.folder.glob("weights*")) == [
        f"weights.fold{n}.safetensors" for n in range(3)
    ]


@pytest.mark.slow
def test_with_photos_on_the_device_a_run_is_the_same(all_folds, people, tmp_path):
    _, before, _ = all_folds
    _, moved, _ = trained(tmp_path / "device", people, fold="all", pixels="device")
    assert (before.origin()["pixels"], moved.origin()["pixels"]) == ("host", "device")
    assert before.epochs().drop(columns="seconds").equals(moved.epochs().drop(columns="seconds"))
    assert before.validation().equals(moved.validation())


@pytest.mark.slow
def test_folds_stop_together_and_keep_their_averaged_weights(people, tmp_path):
    values = {"epochs": 6, "patience": 1, "ema": 0.9, "learning_rate": 1e-6}
    reports, run_folder, _ = trained(tmp_path / "run", people, fold="all", **values)
    epochs = run_folder.epochs()
    assert len(reports) == epochs["epoch"].max() < 6
    assert set(epochs["epoch"].value_counts()) == {3}
    assert run_folder.status()["epochs"] == len(reports)
    assert len(run_folder.weights_files()) == 3


def test_a_fold_without_some_classes_says_so_in_the_log(people, caplog):
    table = read_train(people).table
    Fold(1, FACE_MASK, table[table["age"] < 60], folds=3, seed=0)
    (validation,) = [line for line in caplog.messages if line.startswith("fold 1: validation lacks")]
    assert "counted as 0: " in validation


@pytest.mark.slow
@pytest.mark.parametrize("order", ["lockstep", "one_by_one"])
@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy", "log_loss"])
def test_a_trial_is_trained_reported_and_scored_by_its_metric(people, tmp_path, monkeypatch, metric, order):
    patient = []
    monkeypatch.setattr(Patience, "step", lambda self, score, loss: patient.append(score) or False)
    values = {"fold": "all", "folds": 2, "fold_order": order, "metric": metric, "epochs": 3}
    reports, run_folder, final = trained(tmp_path / "run", people, **values)
    status, epochs, column = run_folder.status(), run_folder.epochs(), column_of(metric)
    out_of_fold = scores_of(run_folder.validation())
    assert final == status["score"] == METRICS[metric](out_of_fold)
    assert (status["metric"], status["macro_f1"]) == (metric, out_of_fold.macro_f1)
    best = epochs.loc[epochs.groupby("fold")[column].idxmax()]
    assert status["best_epoch"] == best["epoch"].min()  # the lower median of two
    reported = [report.score for report in reports if report.for_tuner]
    if order == "lockstep":
        assert patient == reported == pytest.approx(list(epochs.groupby("epoch")[column].mean()))
    else:
        assert patient == pytest.approx(list(epochs[column]))
        assert reported == pytest.approx([best[column][:n].mean() for n in (1, 2)])


def test_a_fold_without_some_classes_counts_them_as_0_in_macro_f1_only(people, caplog):
    table = read_train(people).table
    Fold(1, FACE_MASK, table[table["age"] < 60], folds=3, seed=0, metric="accuracy")
    assert [line for line in caplog.messages if "validation lacks" in line]
    assert "counted as 0" not in caplog.text


def epoch_of(number: int, labels: list[int], chances: list[list[float]]) -> Epoch:
    chances = np.array(chances)
    scores = score_probabilities(np.array(labels), chances)
    return Epoch(number, 1.0, 0.1, 1.0, 0.5, nn.Identity(), 1.0, scores, chances)


@pytest.mark.parametrize(
    ("metric", "best"), [("macro_f1", 1), ("balanced_accuracy", 4), ("accuracy", 2), ("log_loss", 3)]
)
def test_the_best_epoch_of_a_fold_is_by_the_metric(people, metric, best):
    labels = [0] * 5 + [1]
    first, second, third, unsure = [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.45, 0.55, 0]
    epochs = [  # of each metric another one is the best
        epoch_of(1, labels, [first] * 2 + [third] * 3 + [second]),
        epoch_of(2, labels, [first] * 6),
        epoch_of(3, labels, [unsure] * 5 + [[0.55, 0.45, 0]]),
        epoch_of(4, labels, [first] * 3 + [second] * 3),
    ]
    values = {name: [of(epoch.scores) for epoch in epochs] for name, of in METRICS.items()}
    fold = Fold(0, FACE_MASK, read_train(people).table, folds=3, seed=0, metric=metric)
    kept = [fold.keep_if_best(epoch) for epoch in epochs]
    assert kept == [
        value > max(values[metric][:n], default=-np.inf) for n, value in enumerate(values[metric])
    ]
    assert fold.best["epoch"] == 1 + int(np.argmax(values[metric])) == best


def test_patience_goes_by_score_or_loss():
    scores, losses = [0.1, 0.3, 0.2, 0.25, 0.1], [1.0, 0.9, 0.8, 0.7, 0.6]

    def ends(**values):
        patience = Patience(**values)
        return [patience.step(*pair) for pair in zip(scores, losses, strict=True)]

    assert ends(epochs=2) == [False, False, False, True, True]
    assert not any(ends(epochs=0))
    assert not any(ends(epochs=2, on="validation_loss"))
    losses = list(np.add(losses, [0, 0, 2, 2, 2]))
    assert ends(epochs=3, on="validation_loss") == [False] * 4 + [True]


def test_more_folds_than_groups_are_refused_before_a_photo_is_decoded(people, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "build", None)
    config = parse({**TINY, "data": str(people), "folds": 31, "fold": 30})
    with pytest.raises(UsageError, match=r"folds=31: must be from 2 to the number of groups \(30\)"):
        run(config, RunWriter(tmp_path / "run", config), lambda report: None)
