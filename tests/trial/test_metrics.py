import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, log_loss, recall_score

from trial.metrics import METRICS, column_of, score, score_probabilities, scores_text, title_of


def test_scores_are_scikit_learns_over_all_18_classes():
    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 15, 300), rng.integers(0, 18, 300)
    scores = score(labels, answers, 18)
    every = {"labels": range(18), "average": None, "zero_division": 0}
    assert scores.macro_f1 == pytest.approx(f1_score(labels, answers, **{**every, "average": "macro"}))
    assert (scores.confusion == confusion_matrix(labels, answers, labels=range(18))).all()
    assert scores.recall[:15] == pytest.approx(recall_score(labels, answers, **every)[:15])
    assert np.isnan(scores.recall[15:]).all()
    assert scores.accuracy == (labels == answers).mean()


def test_an_absent_class_counts_0():
    assert score(np.arange(9), np.arange(9), 18).macro_f1 == pytest.approx(0.5)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("classes", [2, 18, 300])
def test_each_metric_is_scikit_learns(classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, max(2, classes - 3), 200)  # three classes have no photo if there are many
    chances = rng.dirichlet(np.full(classes, 0.3), 200).astype(np.float32)
    predicted, scores = chances.argmax(1), score_probabilities(labels, chances)
    every = {"labels": range(classes), "average": "macro", "zero_division": 0}
    assert {name: of(scores) for name, of in METRICS.items()} == {
        "macro_f1": pytest.approx(f1_score(labels, predicted, **every)),
        "balanced_accuracy": pytest.approx(balanced_accuracy_score(labels, predicted)),
        "accuracy": (labels == predicted).mean(),
        "log_loss": pytest.approx(-log_loss(labels, chances, labels=range(classes)), rel=1e-5),
    }
    hard = score(labels, predicted, classes)
    assert [METRICS[name](hard) for name in list(METRICS)[:3]] == [
        of(scores) for of in list(METRICS.values())[:3]
    ]


def test_a_class_without_photos_counts_in_macro_f1_only():
    scores = score_probabilities(np.arange(9), np.eye(18)[np.arange(9)])
    assert (scores.macro_f1, METRICS["balanced_accuracy"](scores)) == (pytest.approx(0.5), 1)


def test_the_log_loss_of_a_sure_mistake_is_finite_and_as_scikit_learns_of_float32():
    chances = np.array([[1, 0], [1, 0]], dtype=np.float32)
    loss = -METRICS["log_loss"](score_probabilities(np.array([0, 1]), chances))
    assert loss == pytest.approx(log_loss([0, 1], chances), rel=1e-6)
    assert 7 < loss < 9
    # A probability that was read back as float64 is clipped alike.
    again = METRICS["log_loss"](score_probabilities(np.array([0, 1]), chances.astype(np.float64)))
    assert again == -loss


def test_the_log_loss_of_classes_alone_is_refused():
    with pytest.raises(ValueError, match="needs probabilities"):
        METRICS["log_loss"](score(np.arange(3), np.arange(3), 3))


def test_metrics_are_named_in_files_and_sentences():
    assert [column_of(metric) for metric in METRICS] == [
        "macro_f1", "balanced_accuracy", "accuracy", "negative_log_loss",
    ]  # fmt: skip
    assert [title_of(metric) for metric in METRICS] == [
        "macro-F1", "balanced accuracy", "accuracy", "negative log loss",
    ]  # fmt: skip
    assert scores_text("macro_f1", 0.25, 0.25, 0.5) == "macro-F1 0.2500  accuracy 0.5000"
    assert scores_text("accuracy", 0.5, 0.25, 0.5) == "accuracy 0.5000  macro-F1 0.2500"
    assert (
        scores_text("log_loss", -1, 0.25, 0.5)
        == "negative log loss -1.0000  macro-F1 0.2500  accuracy 0.5000"
    )


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="give as many of each"):
        score(np.array([]), np.array([]), 18)
