import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from trial.metrics import score


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


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="give as many of each"):
        score(np.array([]), np.array([]), 18)
