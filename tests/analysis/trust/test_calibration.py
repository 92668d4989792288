"""Temperature, expected calibration error and the reliability table."""

import numpy as np
import pytest
from scipy.special import softmax

from analysis.report.reliability import reliability_diagram
from analysis.trust.calibration import calibration_error, reliability, temperature_of
from trial.probabilities import tempered


def drawn(photos=4000, classes=5, seed=0):
    """(Probabilities that are right, labels drawn from them)."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(2 * rng.normal(size=(photos, classes)), axis=1)
    return probabilities, (probabilities.cumsum(1) > rng.random((photos, 1))).argmax(1)


def test_the_temperature_undoes_overconfidence():
    probabilities, labels = drawn()
    assert temperature_of(probabilities, labels) == pytest.approx(1, abs=0.06)
    sharp = tempered(probabilities, 1 / 3)
    found = temperature_of(sharp, labels)
    assert found == pytest.approx(3, rel=0.06)
    right = tempered(sharp, found)
    assert right == pytest.approx(probabilities, abs=0.03)
    assert (right.argmax(1) == probabilities.argmax(1)).all(), "no answer changes"


def test_the_temperature_is_scikit_learns_where_that_takes_the_labels():
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Given(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(5)

        def fit(self, photos, labels):
            return self

        def decision_function(self, photos):
            return photos

        def predict(self, photos):
            return photos.argmax(1)

        def __sklearn_is_fitted__(self):
            return True

    probabilities, labels = drawn(800)
    sharp, every = tempered(probabilities, 0.5), np.arange(800)
    theirs = CalibratedClassifierCV(FrozenEstimator(Given()), method="temperature", cv=[(every, every)])
    theirs.fit(np.log(sharp), labels)
    (found,) = theirs.calibrated_classifiers_
    assert temperature_of(sharp, labels) == pytest.approx(1 / found.calibrators[0].beta_, rel=1e-3)


def test_a_class_may_be_missing_and_a_probability_be_zero():
    probabilities, labels = drawn()
    some = labels < 3
    certain = np.eye(5)[labels[some]]
    assert 0 < temperature_of(certain, labels[some]) < 1
    assert np.isfinite(tempered(certain, 2.0)).all()
    assert temperature_of(probabilities[some], labels[some]) > 0


def test_the_reliability_table_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.91, 0.09], [0.4, 0.6], [1.0, 0.0]])
    table = reliability(probabilities, np.array([0, 1, 1, 0]))
    assert table[["low", "high"]].to_numpy().tolist() == [[0.5, 0.6], [0.9, 1.0]]
    assert table["photos"].tolist() == [1, 3]
    assert table["confidence"].tolist() == pytest.approx([0.6, 2.86 / 3])
    assert table["accuracy"].tolist() == pytest.approx([1, 2 / 3])
    assert calibration_error(table) == pytest.approx(0.25 * 0.4 + 0.75 * (2.86 - 2) / 3)


def test_calibrated_probabilities_have_a_small_error_and_sharp_ones_a_large_one():
    probabilities, labels = drawn()
    right, sharp = (reliability(one, labels) for one in (probabilities, tempered(probabilities, 0.3)))
    assert calibration_error(right) < 0.03 < 0.15 < calibration_error(sharp)


def test_the_diagram_has_the_line_of_its_table_and_its_error():
    probabilities, labels = drawn()
    table = reliability(probabilities, labels)
    figure = reliability_diagram(table)
    assert [line.name for line in figure.data] == [
        "perfect", f"this network: error {calibration_error(table):.3f}",
    ]  # fmt: skip
    assert list(figure.data[1].y) == table["accuracy"].tolist()
